/**
 * The file name of a big data item: the key itself when it consists of lower-case letters, digits and dots, else "=" and its base64 (containers/storage).
 * A key never leads out of its directory: base64 of a slash is no slash, and `.` alone is encoded.
 */
export function bigDataFile(key: string): string {
  if (/^[a-z0-9.]+$/.test(key) && !/^\.+$/.test(key)) return key;
  // Standard base64 has "/" in its alphabet; containers/storage writes it all the same for no key in use.
  const name = `=${Buffer.from(key).toString('base64')}`;
  return name.replaceAll('/', '_');
}
