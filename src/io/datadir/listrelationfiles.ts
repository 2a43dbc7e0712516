import { groupRelationFiles, type RelationDirectory } from '../../common/relationfiles.ts'
import { listDir } from '../disk/files.ts'

/** The relations of one database directory, as the names of its files tell; none if there is no such directory. @throws EnvironmentError file.* */
export function listRelationFiles(dir: string): RelationDirectory {
  return groupRelationFiles(dir, listDir(dir))
}
