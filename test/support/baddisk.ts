/**
 * A disk that really reports EIO: an ext4 file system on a loop device, whose content is a file in memory. When everything is written, that file is cut
 * at some block and sealed: the kernel can then neither read nor write what lies behind, and says so to whoever reads, writes or syncs there.
 *
 *     memfd (sealed: it may not grow) ← /dev/loopN ← ext4 without a journal ← the command under test
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Perl, since Node calls neither memfd_create nor fcntl. In a mount namespace of its own: the file system goes with the process, and its loop device too. */
const SCRIPT = `
  use strict; use warnings;
  my ($at, $fill, $victim, $skip, @command) = @ARGV;
  sub run { system(@_) == 0 or die "failed: @_" }
  my %memfd_create = (x86_64 => 319, aarch64 => 279);
  chomp(my $machine = \`uname -m\`);
  my $name = 'disk';
  my $fd = syscall($memfd_create{$machine} // die("no number of memfd_create on $machine"), $name, 2);
  die "memfd_create: $!" if $fd < 0;
  open(my $disk, '+<&=', $fd) or die $!;
  # One group of blocks (128 MiB at most), so that what is written last lies last.
  truncate($disk, 120 << 20) or die $!;
  my $path = "/proc/$$/fd/$fd";
  run('mkfs.ext4', '-q', '-O', '^has_journal', '-E', 'lazy_itable_init=0', '-b', '4096', $path);
  sub attach {
    chomp(my $loop = \`losetup -f --show $path\`);
    die 'no loop device' if $loop eq '';
    my $failed = system('mount', $loop, $at);
    # In use it is freed with the mount.
    run('losetup', '-d', $loop);
    die 'no mount' if $failed;
  }
  attach();
  run('sh', '-ec', "cd $at; $fill; sync -f .");
  my (@extents, $cut);
  for (\`filefrag -e -b4096 '$at/$victim'\`) { push @extents, [$1, $2, $3] if /^\\s*\\d+:\\s+(\\d+)\\.\\.\\s*(\\d+):\\s+(\\d+)\\.\\./ }
  for (@extents) {
    my ($first, $last, $place) = @$_;
    $cut = $place + ($skip > $last ? $last + 1 : $skip) - $first if $skip >= $first;
    die "$victim is in pieces" if $first > $skip && $place < $cut;
  }
  die "no place of $victim" if !defined $cut;
  # Nothing of it is in memory after that.
  run('umount', $at);
  attach();
  truncate($disk, 4096 * $cut) or die $!;
  fcntl($disk, 1033, 2 | 4) or die "seals: $!";
  my $status = system(@command);
  print "left: $_" for \`ls -A $at\`;
  exit($status & 127 ? 128 + ($status & 127) : $status >> 8);`

export interface BadDisk {
  /** An empty folder, where it is mounted for the command alone. */
  at: string
  /** Commands of a shell that fill it, run in it, while it is sound. */
  fill: string
  /** A file on it that is written last: from its 4 KiB block `skip` on the disk is bad, behind it if `skip` is large. */
  bad: string
  skip: number
}

/** Behind any file: what is there can be read, and nothing new can be written. */
export const BEHIND_IT = 1 << 30

/** The command line that runs `command` on such a disk; stdout ends with a line `left: <name>` for each entry of the disk. */
export function onBadDisk({ at, fill, bad, skip }: BadDisk, command: readonly string[]): string[] {
  return ['unshare', '-m', 'perl', '-e', SCRIPT, '--', at, fill, bad, String(skip), ...command]
}

/** Why this machine can make no such disk; undefined where it can, which is tried. */
export function whyNoBadDisk(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it takes root on Linux'
  const at = mkdtempSync(join(tmpdir(), 'ltap-baddisk-'))
  try {
    const command = onBadDisk({ at, fill: 'head -c 100000 /dev/zero > file', bad: 'file', skip: 10 }, ['sh', '-c', `cat "${at}/file" > /dev/null`])
    const { status, stderr, error } = spawnSync(command[0]!, command.slice(1), { encoding: 'utf8' })
    if (error !== undefined) return error.message
    return status === 1 && /Input\/output error/.test(stderr) ? undefined : stderr.trim().split('\n').at(-1) ?? `exit code ${status}`
  } finally {
    rmSync(at, { recursive: true, force: true })
  }
}
