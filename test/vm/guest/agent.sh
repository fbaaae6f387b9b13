#!/bin/sh
# Started by tare-agent.service in the virtual machine: the agent, with the serial port as descriptors 0 and 1.
for port in /dev/vport*p1; do
  exec /tare/tools/node /tare/test/vm/guest/agent.js <>"$port" 1>&0
done
