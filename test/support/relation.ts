/** Descriptors around arbitrary pages. */
import type { TupleDesc } from '../../src/catalog/tupledesc.ts'
import type { ClusterDescriptor, RelationDescriptor } from '../../src/columnar/filedescriptor.ts'
import type { TranscodeOptions } from '../../src/columnar/transcode.ts'
import { VISIBILITY } from './arbitrarypages.ts'

export function relationOf(desc: TupleDesc, blocks: number): RelationDescriptor {
  return {
    database: 'd', schema: 's', name: 't', oid: 16500, relkind: 'r', spcOid: 1663, dbOid: 5, relNumber: 16500, blocks, encoding: 6, desc,
  }
}

export function clusterOf(checksums: boolean): ClusterDescriptor {
  return { systemIdentifier: '7300000000000000001', major: 17, checksums, lsn: '0/16B3740', profile: 'portable' }
}

export function transcodeOptions(options: Partial<TranscodeOptions> = {}): TranscodeOptions {
  const checksums = options.checksums ?? false
  return { cluster: clusterOf(checksums), compression: 'none', visibility: VISIBILITY, checksums, onCorrupt: 'fail', ...options }
}
