import { assert } from '../common/errors.ts'
import { RecentlyUsed } from '../common/recentlyused.ts'
import { SourceText } from './sourcetext.ts'

/** By source text. More tables than that are rarely read at once, and each takes some hundred KB. */
const kept = new RecentlyUsed<string, (...values: never[]) => unknown>(64)

/**
 * The function with these parameters and this body. The same text gives the same function, which V8 has optimised already: the files of
 * a relation, and the jobs of a process, are read at full speed from the first page on.
 * @throws EvalError where code generation is not allowed
 */
export function compile<T extends (...values: never[]) => unknown>(parameters: readonly string[], source: SourceText): T {
  assert(source instanceof SourceText, 'only source text is compiled')
  const body = source.text
  return kept.get(`${parameters.join()}\n${body}`, () => new Function(...parameters, body) as T) as T
}
