import { spawnSync } from 'node:child_process'
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { check, folder, skip, works } from './common.mjs'

const VERSITYGW = { module: 'github.com/versity/versitygw', version: 'v1.8.0', sum: 'h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=' }

export function installVersitygw() {
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
