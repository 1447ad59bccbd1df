/** Twenty digits, as AWS's. */
export function sequenceNumber(sequence: number): string {
  return `18${String(sequence).padStart(18, '0')}`;
}
