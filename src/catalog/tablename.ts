import { quoteIdentifier } from './sqlname.ts'

/*
 * How people name a table on a command line: `schema.name`. The rule, in this order:
 *
 *   1. A text that is some table's schema, a dot and its name, letter for letter, names that table: `public.Orders` is "Orders".
 *   2. Else it is read as psql reads it: what stands in double quotes is kept ("" in quotes is one quote), what does not is folded to
 *      lower case: `public."Orders"` is "Orders", `PUBLIC.ORDERS` is "orders", `"a.b".c` is table "c" of schema "a.b".
 *
 * A pattern is the same with psql's wildcards outside of quotes, * for any characters and ? for one, and its schema may be left out.
 */

/** What a name can be looked up by. */
export interface TableIdentity {
  schema: string
  name: string
}

interface Character {
  text: string
  quoted: boolean
}

/** Tables of `tables` that `text` names; of several databases there may be several. */
export function tablesNamed<T extends TableIdentity>(tables: readonly T[], text: string): T[] {
  const verbatim = tables.filter((table) => isVerbatim(table, text))
  if (verbatim.length > 0) return verbatim
  const parts = identifiers(text)?.map((part) => part.map((character) => character.text).join(''))
  return parts?.length === 2 ? tables.filter(({ schema, name }) => schema === parts[0] && name === parts[1]) : []
}

/** Tables of `tables` that the pattern `text` takes in. */
export function tablesLike<T extends TableIdentity>(tables: readonly T[], text: string): T[] {
  const verbatim = tables.filter((table) => isVerbatim(table, text))
  if (verbatim.length > 0) return verbatim
  const parts = identifiers(text)
  if (parts === undefined || parts.length > 2) return []
  const [inSchema, named] = parts.length === 2 ? parts : [undefined, ...parts]
  return tables.filter(({ schema, name }) => (inSchema === undefined || matches(inSchema, schema)) && matches(named!, name))
}

/** `schema.name` as a text that names this table and no other. */
export function quotedTableName({ schema, name }: TableIdentity): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/** What to say where `text` names nothing: how names are written, which tables differ from it only in case, and which it lacks the schema of. */
export function noTableHint(tables: readonly TableIdentity[], text: string): string {
  const folded = tables.filter((table) => isVerbatim({ schema: foldCase(table.schema), name: foldCase(table.name) }, foldCase(text)))
  const similar = [...new Set(folded.map(quotedTableName))].slice(0, 5)
  if (similar.length > 0) return `there is ${similar.join(' and ')}: quote a name with upper case letters`
  const elsewhere = [...new Set(tables.filter(({ name }) => name === text).map(quotedTableName))].slice(0, 5)
  if (elsewhere.length > 0) return `write its schema, too: ${elsewhere.join(' or ')}`
  return 'write it as schema.name, quoted as in psql'
}

function isVerbatim({ schema, name }: TableIdentity, text: string): boolean {
  return text === `${schema}.${name}`
}

/** Parts of a dotted name; undefined if a part is empty or a quote is not closed. */
function identifiers(text: string): Character[][] | undefined {
  const parts: Character[][] = [[]]
  let inQuotes = false
  for (let at = 0; at < text.length; at++) {
    const part = parts.at(-1)!
    const char = text[at]!
    if (char === '"' && inQuotes && text[at + 1] === '"') part.push({ text: text[++at]!, quoted: true })
    else if (char === '"') inQuotes = !inQuotes
    else if (char === '.' && !inQuotes) parts.push([])
    else part.push({ text: inQuotes ? char : foldCase(char), quoted: inQuotes })
  }
  return inQuotes || parts.some((part) => part.length === 0) ? undefined : parts
}

/**
 * Whether the whole of `name` is what `pattern` says. Where the rest does not fit, only the last * is tried with more characters, so the time is at
 * most the product of both lengths, whatever the pattern.
 */
function matches(pattern: readonly Character[], name: string): boolean {
  let [at, next, star, tried] = [0, 0, -1, 0]
  while (next < name.length) {
    const part = pattern[at]
    if (part !== undefined && !part.quoted && part.text === '*') {
      star = at++
      tried = next
    } else if (part !== undefined && (part.text === name[next] || (part.text === '?' && !part.quoted))) {
      at++
      next++
    } else if (star >= 0) {
      at = star + 1
      next = ++tried
    } else return false
  }
  return pattern.slice(at).every(({ text, quoted }) => text === '*' && !quoted)
}

/** downcase_identifier (scansup.c), of ASCII letters: others a server folds only in single-byte encodings, by its locale. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]/g, (char) => char.toLowerCase())
}
