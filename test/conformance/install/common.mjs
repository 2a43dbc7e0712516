// What the parts of `npm run conformance:install` share.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** $LTAP_CONFORMANCE */
export const folder = process.env.LTAP_CONFORMANCE ?? join(homedir(), '.cache/ltap')
/** A line for each thing that is missing afterwards. */
export const skipped = []

export function skip(line) {
  skipped.push(line)
}

/** Says where a program is, if it prints `wanted`. */
export function check(name, program, options, wanted) {
  const { stdout, stderr } = spawnSync(program, options, { encoding: 'utf8' })
  if (`${stdout}${stderr}`.includes(wanted)) console.log(`${name}: ${program}`)
  else skip(`${name}: ${program} does not run, or has another version; remove it and install again`)
}

export function works(program, options) {
  return spawnSync(program, options, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
}

/**
 * Puts packages of Python, pinned by their hashes, into a virtual environment, unless it is there.
 * @param name what it is for people @param home folder of the environment @param wanted a requirements file with hashes
 * @returns its python; undefined if it is not there now, which was said
 */
export function pythonEnvironment(name, home, wanted, options = ['--only-binary=:all:']) {
  const python = join(home, 'bin/python')
  if (existsSync(python)) return python
  if (!works('python3', ['--version'])) return void skip(`${name}: there is no python3, which installs it`)
  const isDone = works('python3', ['-m', 'venv', home])
    && works(python, ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', ...options, '--require-hashes', '-r', wanted])
  if (isDone) return python
  rmSync(home, { recursive: true, force: true })
  skip(`${name}: pip did not install it (see above)`)
}
