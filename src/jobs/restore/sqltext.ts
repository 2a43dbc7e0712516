/*
 * SQL for a session of one user, where a line is a statement (InteractiveBackend, postgres.c). Text is one character per byte, in the database's
 * encoding: nothing of it is converted on the way.
 */

/** An identifier in one line, whatever is in it. @param name one character per byte */
export function identifier(name: string): string {
  const quoted = name.replaceAll('"', '""')
  return name.includes('\n') ? `U&"${quoted.replaceAll('\\', '\\\\').replaceAll('\n', '\\000A')}"` : `"${quoted}"`
}

/** A string in one line. @param value as {@link identifier} */
export function literal(value: string): string {
  return `E'${value.replaceAll(/[\\'\n\r]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`
}

/** Text that a statement gave as hex. @returns one character per byte */
export function hexText(hex: string): string {
  return hex.replaceAll(/../g, (byte) => String.fromCharCode(Number.parseInt(byte, 16)))
}

/** An expression whose value is the bytes of a text or name as hex. */
export function hexOf(expression: string): string {
  return `pg_catalog.encode(pg_catalog.convert_to(${expression}::pg_catalog.text, pg_catalog.getdatabaseencoding()), 'hex')`
}
