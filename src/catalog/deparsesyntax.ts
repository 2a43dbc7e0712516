import type { Oid } from '../common/ids.ts'
import type { NodeValue } from './nodetree.ts'

/** What writes the arguments: the deparser, which calls this. */
interface Writer {
  text: string
  rule: (value: NodeValue | undefined, showImplicit: boolean) => void
  word: (value: NodeValue | undefined) => void
}

/** Pieces of text around arguments, by their index; a number alone is that argument. */
type Form = readonly (string | number)[]

/**
 * get_func_sql_syntax (ruleutils.c): functions that SQL writes with words, EXTRACT(year FROM x).
 * @returns false for a function that is not known here; then nothing was written
 */
export function functionSyntax(name: string, oid: Oid, args: readonly NodeValue[], writer: Writer): boolean {
  if (name === '"extract"') {
    writer.text += 'EXTRACT('
    writer.word(args[0])
    writer.text += ' FROM '
    writer.rule(args[1], false)
    writer.text += ')'
    return true
  }
  const form = formOf(name, oid, args)
  if (form === undefined) return false
  for (const piece of form) {
    if (typeof piece === 'string') writer.text += piece
    else writer.rule(args[piece], false)
  }
  return true
}

const TRIMS: Readonly<Record<string, string>> = { btrim: 'BOTH', ltrim: 'LEADING', rtrim: 'TRAILING' }

/** substring of text, bytea and bit by position; others are by pattern. */
const SUBSTRINGS = new Set([936, 937, 1680, 1699, 2012, 2013])

function formOf(name: string, oid: Oid, args: readonly NodeValue[]): Form | undefined {
  const count = args.length
  const side = TRIMS[name]
  if (side !== undefined) return count === 2 ? [`TRIM(${side} `, 1, ' FROM ', 0, ')'] : [`TRIM(${side} FROM `, 0, ')']
  switch (name) {
    case 'timezone':
      return count === 2 ? ['(', 1, ' AT TIME ZONE ', 0, ')'] : undefined
    case '"position"':
      return ['POSITION((', 1, ') IN (', 0, '))']
    case '"overlay"':
      return count === 4 ? ['OVERLAY(', 0, ' PLACING ', 1, ' FROM ', 2, ' FOR ', 3, ')'] : ['OVERLAY(', 0, ' PLACING ', 1, ' FROM ', 2, ')']
    case '"substring"':
      if (!SUBSTRINGS.has(oid)) return undefined
      return count === 3 ? ['SUBSTRING(', 0, ' FROM ', 1, ' FOR ', 2, ')'] : ['SUBSTRING(', 0, ' FROM ', 1, ')']
    default:
      return undefined
  }
}
