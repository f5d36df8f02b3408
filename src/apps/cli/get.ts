/** placeholder until output.ts is there */
export interface GetOptions {
  readonly namespace: string;
}
export async function get(): Promise<number> {
  return 1;
}
