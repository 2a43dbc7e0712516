import { createHash } from 'node:crypto'

/** SHA-256, in base64url, of a value as JSON; bytes in it count as their base64. */
export function jsonHash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, (_, member: unknown) => (
    member instanceof Uint8Array ? Buffer.from(member).toString('base64') : member))).digest('base64url')
}
