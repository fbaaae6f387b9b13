/** What became of one test inside the virtual machine. */
export interface GuestTest {
  readonly name: string;
  readonly file: string;
  readonly ms: number;
  readonly skip?: string;
  readonly error?: string;
}
