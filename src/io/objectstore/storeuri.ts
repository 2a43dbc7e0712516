import { pathToFileURL } from 'node:url'
import { isStoreUrl } from './openobjectstore.ts'

/** What programs that know nothing of ltap call a store: `s3://bucket/prefix`, `file:///srv/lake`. Without a slash at its end. @param url of an ObjectStore */
export function storeUri(url: string): string {
  const uri = isStoreUrl(url) || url.startsWith('memory:') ? url : pathToFileURL(url).href
  return uri.replace(/\/+$/, '')
}
