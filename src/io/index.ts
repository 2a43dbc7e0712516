/** Adapters that touch files: data directories, WAL, page stores. */
export { DirectoryCluster, openCluster, openSnapshot } from './cluster.ts'
export { openPageStore } from './pagestore/openstore.ts'
export { PageStore, type PageStoreOptions } from './pagestore/pagestore.ts'
export { openWal, WalSource, type WalSourceOptions } from './walsource/walsource.ts'
