import { localFolder } from '../objectstore/openobjectstore.ts'
import { LocalPlace } from './localplace.ts'
import type { ResultPlace } from './resultplace.ts'
import { StorePlace } from './storeplace.ts'

/**
 * @param place a folder or file, by its path or as file: URL, or s3://bucket/prefix
 * @param isFile the place is one file
 * @param onNotice told of what an export that was killed left beside it
 * @throws EnvironmentError query.out if something is there, file.*, store.*; UnsupportedError path.scheme
 */
export async function openResultPlace(place: string, isFile: boolean, onNotice?: (text: string) => void): Promise<ResultPlace> {
  const folder = localFolder(place)
  return folder === undefined ? StorePlace.open(place, isFile) : new LocalPlace(folder, isFile, onNotice)
}
