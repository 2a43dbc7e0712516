/** A codec as somebody else would write it: on the public face alone (`ltap/datum`, `ltap/vector`), in a module of its own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Makes a type of 4 bytes that no ltap knows: a number that is stored as an int4. */
export const BADGE_SQL = `
  CREATE TYPE badge;
  CREATE FUNCTION badge_in(cstring) RETURNS badge AS 'int4in' LANGUAGE internal IMMUTABLE STRICT;
  CREATE FUNCTION badge_out(badge) RETURNS cstring AS 'int4out' LANGUAGE internal IMMUTABLE STRICT;
  CREATE TYPE badge (INPUT = badge_in, OUTPUT = badge_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4)`

/**
 * The column is an int; a value above 1000 goes to `_overflow`, and comes back by its text.
 * @param encode what comes back in the place of the stored number
 */
export function writeBadgeCodec(folder: string, name = 'badge.mjs', encode = 'column.words[row]'): string {
  const path = join(folder, name)
  writeFileSync(path, `
    const valueOf = (source, start) => new DataView(source.buffer, source.byteOffset).getInt32(start, true)
    const badge = {
      column: { kind: 'int' },
      overflows: true,
      decode(source, start, end, out) {
        const value = valueOf(source, start)
        if (value > 1000) { out.pushNull(); return false }
        out.push1(value)
        return true
      },
      encode(column, row, out) { out.u32(${encode} >>> 0) },
      text(source, start, end, out) { out.copy(new TextEncoder().encode('No. ' + valueOf(source, start)), 0) },
      parse(text, start, end, out) { out.u32(Number(new TextDecoder().decode(text.subarray(start, end)).slice(4)) >>> 0) },
    }
    export const codecs = { badge: (context, typmod, type) => (type.len === 4 ? badge : undefined) }
  `)
  return path
}
