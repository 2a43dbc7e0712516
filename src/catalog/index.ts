/** pg_class, pg_attribute, pg_type … read from heap pages. Pure; no I/O. */
export { parseColumnList } from './columnlist.ts'
export * from './relations.ts'
export { parseRelationMap } from '../common/relationmap.ts'
export * from './tupledesc.ts'
