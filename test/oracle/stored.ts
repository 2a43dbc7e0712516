import { hexDecode, hexEncode, readU32 } from '../../src/common/bytes.ts'
import type { Session } from '../support/oracle.ts'

export interface Stored {
  input: string
  /** The datum's bytes behind its header, as they lie on the page or in the TOAST table; never compressed. */
  payload: Uint8Array
  /** What the type's output function gives. */
  text: string
}

/** Stores `inputs`, each cast to `type`, and reads back what is on the pages and what the server prints. Needs pageinspect. */
export async function store(sql: Session, type: string, inputs: readonly string[], cast = `$1::text::${type}`): Promise<Stored[]> {
  await sql.exec(`drop table if exists stored; create table stored (v ${type})`)
  const varlena = (await sql.value(`select typlen = -1 and typstorage <> 'p' from pg_type where oid = '${type}'::regtype`)) === 't'
  if (varlena) await sql.exec('alter table stored alter v set storage external')
  await sql.query(`insert into stored select ${cast.replace('$1', 'i')} from unnest($1::text[]) with ordinality u(i, n) order by n`,
    [inputs])
  const texts = await sql.rows('select v from stored order by ctid')
  const datums = await sql.rows(
    `select encode(t_attrs[1], 'hex') from generate_series(0, pg_relation_size('stored') / 8192 - 1) b,
     heap_page_item_attrs(get_raw_page('stored', b::int), 'stored'::regclass) order by b, lp`,
  )
  if (texts.length !== inputs.length || datums.length !== inputs.length) throw new Error('not as many values as were stored')
  const found: Stored[] = []
  for (let i = 0; i < inputs.length; i++) {
    found.push({ input: inputs[i]!, text: texts[i]![0]!, payload: await payload(sql, hexDecode(datums[i]![0]!)) })
  }
  return found
}

async function payload(sql: Session, datum: Uint8Array): Promise<Uint8Array> {
  if (datum[0] !== 1) return datum.slice(datum[0]! & 1 ? 1 : 4)
  const toast = await sql.value(`select reltoastrelid::regclass from pg_class where relname = 'stored'`)
  const chunks = await sql.value(
    `select encode(string_agg(chunk_data, ''::bytea order by chunk_seq), 'hex') from ${toast} where chunk_id = ${readU32(datum, 10)}`,
  )
  return hexDecode(chunks!)
}

/** For messages: the start of a long value. */
export function brief(value: Stored): string {
  return `${value.input.slice(0, 300)} = ${hexEncode(value.payload).slice(0, 600)}`
}
