/**
 * Ends a server whose parent was killed. A shell in a session of its own reads a pipe that only we hold: its end tells that we are gone, however that
 * came. A line tells that the server has ended by itself. A process id alone names no process: the server's lock file must still name it (negated if it has
 * one session, without sockets), and where
 * the system tells, its working directory must be the data directory.
 */
import { type ChildProcess, spawn } from 'node:child_process'

const WATCH = `
  read -r line && exit
  case "$(head -n 1 "$1/postmaster.pid" 2>/dev/null)" in "$2" | "-$2") ;; *) exit ;; esac
  cwd=$(readlink "/proc/$2/cwd" 2>/dev/null)
  [ -z "$cwd" ] || [ "$cwd" -ef "$1" ] || exit
  kill -QUIT "$2"`

export class ParentWatch {
  private readonly shell: ChildProcess

  constructor(dataDir: string, pid: number) {
    this.shell = spawn('/bin/sh', ['-c', WATCH, 'ltap-watch', dataDir, String(pid)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    // Without a shell the next start finds what was left.
    this.shell.on('error', () => {})
    this.shell.stdin!.on('error', () => {})
    this.shell.unref()
    const { stdin } = this.shell
    if (stdin !== null && 'unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  }

  /** The server has ended. */
  end(): void {
    this.shell.stdin?.end('ended\n')
  }
}
