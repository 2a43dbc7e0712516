/** What a type must be made of, so that its stored bytes are those that the codec of that name reads. */
export interface ExtensionType {
  /** extname of the extension that owns it. */
  extension: string
  /** prosrc of its input function: a symbol of the extension's library, or of the server. */
  input: string
}

/** Types of extensions that have a codec, by typname: their oids differ from database to database, and any user may make a type of that name. */
export const EXTENSION_TYPES: ReadonlyMap<string, ExtensionType> = new Map([
  ['citext', { extension: 'citext', input: 'textin' }],
  ['hstore', { extension: 'hstore', input: 'hstore_in' }],
  ['ltree', { extension: 'ltree', input: 'ltree_in' }],
  ['cube', { extension: 'cube', input: 'cube_in' }],
  ['vector', { extension: 'vector', input: 'vector_in' }],
  ['halfvec', { extension: 'vector', input: 'halfvec_in' }],
  ['sparsevec', { extension: 'vector', input: 'sparsevec_in' }],
  ['geometry', { extension: 'postgis', input: 'LWGEOM_in' }],
  ['geography', { extension: 'postgis', input: 'geography_in' }],
])
