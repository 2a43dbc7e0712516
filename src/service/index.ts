/** A lake as a service, for programs that know nothing of ltap: web-standard handlers, `Request` to `Response`. Pure over the ports of `ltap/engine`. */
export { icebergCatalog } from './catalog.ts'
export type { CatalogOptions } from './context.ts'
export { type Grant, parseTokens, type Token } from './tokens.ts'
