import { resolve } from 'node:path'
import { localFolder } from './openobjectstore.ts'

/**
 * What programs that know nothing of ltap call a store: `s3://bucket/prefix`, `file:///srv/my lake`. Without a slash at its end. Letters are as they are, as
 * Iceberg has its paths. @param url of an ObjectStore
 */
export function storeUri(url: string): string {
  const folder = url.startsWith('memory:') ? undefined : localFolder(url)
  return (folder === undefined ? url : `file://${resolve(folder)}`).replace(/\/+$/, '')
}
