/**
 * Talking to a container's monitor (docs/reference/monitor-protocol.md). `MonitorClient` is the whole of it for most
 * callers; `requestMount` asks for the rootfs alone; the frame codec serves tests and tools.
 */
export { type ExecOptions, type ExitStatus, MonitorClient, type MonitorHello } from './client.ts';
export { type ExecExit, ExecSession } from './exec-session.ts';
export {
  ATTACH_STDERR,
  ATTACH_STDIN,
  ATTACH_STDOUT,
  type ClientFrame,
  encodeClientFrame,
  encodeMonitorFrame,
  FrameDecoder,
  MAX_FRAME_BYTES,
  type MonitorFrame,
  PROTOCOL_VERSION,
} from './frames.ts';
export { HelperError } from './helper-error.ts';
export { requestMount } from './mount-request.ts';
