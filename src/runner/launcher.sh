#!/bin/sh
# The launcher: forks one runner per attempt, so that the daemon never forks and is not the parent of the work.
#
#   launcher.sh DIALECT UMASK BOOT_ID PID_NAMESPACE HOST     started once, in its own session, in the state directory
#
#   in    run RUNDIR INODE        fork a runner for this attempt
#         sync TOKEN              sync the file system of the state directory, in the background
#   out   done RUNDIR             that runner has ended, with or without having run anything
#         synced TOKEN            or `unsynced TOKEN`, where something could not be written
#
# At the end of its input it goes; runners stay until their commands have ended. A runner leaves in its run directory
#   pid           line 1, before anything else: PID STARTTIME BOOT_ID PID_NAMESPACE HOST INODE
#                 its last word, once the command has ended and its group is empty: exited STATUS CPUTICKS .
#   output.log    made exclusively after line 1 and before the command: whoever makes it first decides if it runs
# A crash between any two steps leaves a pid file without a last word and a runner that is provably dead.
#
# Dialects: `bash` (5 or later) makes process groups by `set -m`, two forks and one exec an attempt. `posix` (dash,
# busybox) has only `setsid`: runners stay in the launcher's group, and commands begin with SIGINT and SIGQUIT ignored
# where `env` cannot undo what POSIX demands of a background command.
#
# All of it is one group command, read whole before it starts: an upgrade in place does not disturb it.
{
dialect=$1 umask=$2 host="$3 $4 $5"
umask "$umask"
# What the daemon was started with is no business of a task. Node keeps back the first sixteen; dash could close none above 9.
if [ "$dialect" = bash ]; then
  for descriptor in /proc/$$/fd/*; do
    case ${descriptor##*/} in [0-9] | 255) ;; *) eval "exec ${descriptor##*/}>&-" ;; esac
  done
fi
set -f
exec 3<&0 </dev/null
case $dialect in
  bash) set -m ;;
  *) env --default-signal=INT,QUIT true 2>/dev/null && defaults='env --default-signal=INT,QUIT' || defaults= ;;
esac

# What every attempt goes through is in this one function: to bash, a call costs as much as dozens of commands, for it
# copies what it calls. What few attempts need is kept out of it for the same reason. Between the wait and the end there
# is no loop, nor anything else that lets bash file the job away: its table of the dead is half a megabyte.
runner() {
  command='' stop='' likely='' hits=0
  trap 'forward HUP 129' HUP; trap 'forward INT 130' INT; trap 'forward QUIT 131' QUIT; trap 'forward TERM 143' TERM
  trap 'hits=$((hits + 1))' USR1 USR2 PIPE ALRM

  # Claims the attempt and starts its command; runs nothing if anything is not as it should be.
  if cd "./$1" && case $dialect in
    bash) mapfile -t -d ' ' -s 21 -n 1 start </proc/self/stat && pid=$BASHPID ;;
    *) read -r pid _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ start _ </proc/self/stat ;;
  esac && set -C && printf '%s\n' "$pid $start $host $2" >pid && printf '' >output.log; then
    case $dialect in
      bash) set -m; . ./run >>output.log 2>&1 & ;;
      *) setsid $defaults sh ./run >>output.log 2>&1 & ;;
    esac
    command=$!
    [ -z "$stop" ] || forward "$stop" "$likely"

    first=$hits
    wait "$command"
    status=$?
    [ "$status" -le 128 ] || await_again
    # Fields 16 and 17: the CPU time of the children that were waited for.
    case $dialect in
      bash) mapfile -t -d ' ' -s 15 -n 2 times </proc/self/stat && ticks=$((times[0] + times[1])) ;;
      *) read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ </proc/self/stat && ticks=$((user + system)) ;;
    esac
    # Whatever of its group is left has ended before the last word is said; without a status, none is.
    ! kill -0 "-$command" || end_group
    [ -z "$status" ] || [ ! -f pid ] || printf 'exited %s %s .\n' "$status" "$ticks" >>pid || insist
  fi
  # If no daemon hears of it, none closes the drop folder: empty, it would look after a power cut as if the cut had emptied it.
  printf 'done %s\n' "$1" || command -p rmdir pending
  exit 0
}

# To the command's group; singly while a `setsid` has not made the group yet. (Every shell takes `kill -TERM -123`; few take `--`.)
forward() {
  hits=$((hits + 1)) stop=$1 likely=$2
  [ -n "$command" ] || return 0
  kill "-$1" "-$command" || kill "-$1" "$command"
  kill -CONT "-$command"
}

# A signal cuts a wait short, in bash the next one too, with a status above 128 that is not the command's; by then the
# command may have been reaped, and its true status kept for whoever asks again. And bash takes a stopped command for an
# ended one. (Its `wait -f` does not, but never returns if a signal came while it was reaping: it burns a processor.) So a
# status above 128 counts when two waits give it, no signal came since before the first, and the command is gone.
# Elsewhere than in bash, a status that was given once may be forgotten: 127, and the one before was the true one.
# Without any, `status` is left empty.
await_again() {
  before='' quiet=''
  while :; do
    if [ "$status $hits" = "$before $quiet" ]; then
      kill -0 "$command" || return 0
      command -p sleep 1 # it is stopped
    elif ! kill -0 "$command" && is_lost; then
      status=$likely
      return 0
    fi
    before=$status quiet=$first first=$hits
    wait "$command"
    status=$?
    if [ "$status" -le 128 ]; then
      [ "$dialect$status" != posix127 ] || status=$before
      return 0
    fi
  done
}

# True if bash, cut short between reaping the command and noting its status, holds for running what is gone: it would
# wait for ever. What was forwarded then most likely ended the command; if nothing was, nobody knows.
is_lost() {
  [ "$dialect" = bash ] && [ "$hits" -gt 0 ] && [ "$(jobs -rp)" = "$command" ]
}

# Leaves nothing of the command's group.
end_group() {
  is_being_ended || { kill -TERM "-$command"; kill -CONT "-$command"; }
  patience 20 || kill -KILL "-$command"
  patience 10
}

# The daemon ends the attempt: it has sent TERM, or is about to, and sends KILL after `kill_after`. The file may be a
# link that leads nowhere; an empty one counts for nothing.
is_being_ended() { [ -L ending ] || [ -s ending ]; }

# Waits at most $1 tenths of a second for the command's group to end, however long the daemon takes for it.
patience() {
  left=$1 step=1
  while group_lives; do
    [ "$left" -gt 0 ] || return
    command -p sleep 0.1 || { command -p sleep 1; step=10; }
    is_being_ended || left=$((left - step))
  done
}

# True if the command's group has a member that is no zombie: one whose parent does not reap keeps a group for ever.
group_lives() {
  kill -0 "-$command" || return
  set +f
  for stat in /proc/[0-9]*/stat; do
    read -r stat <"$stat" || continue
    case ${stat##*) } in [ZX]*) continue ;; esac
    set -f
    set -- ${stat##*) }
    [ "$3" != "$command" ] || return 0
  done
  set -f
  return 1
}

# The last word again, until it fits, or nobody is left to read it. It begins a line of its own: what got through of
# the first one lacks its closing full stop, so it never passes for a last word.
insist() {
  while command -p sleep 1 && [ -f pid ]; do
    ! printf '\nexited %s %s .\n' "$status" "$ticks" >>pid || return 0
  done
}

# A `sync` that cannot sync one file system (which /proc tells) syncs all, and says nothing of what could not be written.
flush() {
  if command -p sync -f . || { ! command -p sync -f /proc && command -p sync; }; then
    printf 'synced %s\n' "$1"
  else
    printf 'unsynced %s\n' "$1"
  fi
  exit 0
}

while read -r order argument inode <&3; do
  case $order in
    run) runner "$argument" "$inode" 3<&- & ;;
    sync) flush "$argument" 3<&- & ;;
  esac
  # bash would remember each and how it ended, and copy that at every fork (if told `disown PID`, it takes half a
  # megabyte to remember that); others keep zombies until they look.
  case $dialect in
    bash) disown -a ;;
    *) jobs >/dev/null ;;
  esac
done
exit 0
}
