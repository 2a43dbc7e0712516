/** Whether two values that JSON can say are the same, whatever the order of their members. An undefined member counts as absent. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const [mine, theirs] = [members(a), members(b)]
  return mine.length === theirs.length && mine.every(([name, value]) => Object.hasOwn(b, name) && equalJson(value, (b as Record<string, unknown>)[name]))
}

function members(of: object): [string, unknown][] {
  return Object.entries(of).filter(([, value]) => value !== undefined)
}
