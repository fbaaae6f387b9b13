/** True for hosts that are this machine by definition: `localhost`, 127.0.0.0/8 and [::1]. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === '[::1]' || hostname === '::1'
  );
}
