export async function describe(): Promise<number> {
  return 1;
}
