/** Scopes by name, for the configuration of vitest too: it cannot import files that tests do. */
export type Scope = 'quick' | 'sample' | 'all'

export function parseScope(text: string): Scope {
  if (text !== 'quick' && text !== 'sample' && text !== 'all') throw new Error(`LTAP_TEST_SCOPE is ${text}; it may be quick, sample or all`)
  return text
}
