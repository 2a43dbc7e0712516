/** Functions kept compiled: more tables than that are rarely read at once, and each takes some hundred KB. */
const KEPT_MAX = 64

/** By source text; the last used one last. */
const kept = new Map<string, (...values: never[]) => unknown>()

/**
 * The function with these parameters and this body. The same text gives the same function, which V8 has optimised already: the files of
 * a relation, and the jobs of a process, are read at full speed from the first page on.
 * @throws EvalError where code generation is not allowed
 */
export function compile<T extends (...values: never[]) => unknown>(parameters: readonly string[], body: string): T {
  const key = `${parameters.join()}\n${body}`
  const found = kept.get(key) ?? (new Function(...parameters, body) as T)
  kept.delete(key)
  kept.set(key, found)
  if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value!)
  return found as T
}
