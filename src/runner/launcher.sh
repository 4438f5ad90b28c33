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
# Its variables begin with `sp_`: one that the environment has, too, would stay exported, and reach commands with our value.
#
# All of it is one group command, read whole before it starts: an upgrade in place does not disturb it.
{
sp_dialect=$1 sp_umask=$2 sp_host="$3 $4 $5"
umask "$sp_umask"
# What the daemon was started with is no business of a task. Node keeps back the first sixteen; dash could close none above 9.
if [ "$sp_dialect" = bash ]; then
  for sp_descriptor in /proc/$$/fd/*; do
    case ${sp_descriptor##*/} in [0-9] | 255) ;; *) eval "exec ${sp_descriptor##*/}>&-" ;; esac
  done
fi
set -f
exec 3<&0 </dev/null
case $sp_dialect in
  bash) set -m ;;
  *) env --default-signal=INT,QUIT true 2>/dev/null && sp_defaults='env --default-signal=INT,QUIT' || sp_defaults= ;;
esac

# What every attempt goes through is in this one function: to bash, a call costs as much as dozens of commands, for it
# copies what it calls. What few attempts need is kept out of it for the same reason. Between the wait and the end there
# is no loop, nor anything else that lets bash file the job away: its table of the dead is half a megabyte.
runner() {
  sp_command='' sp_stop='' sp_likely='' sp_hits=0
  trap 'forward HUP 129' HUP; trap 'forward INT 130' INT; trap 'forward QUIT 131' QUIT; trap 'forward TERM 143' TERM
  trap 'sp_hits=$((sp_hits + 1))' USR1 USR2 PIPE ALRM

  # Claims the attempt and starts its command; runs nothing if anything is not as it should be.
  if cd "./$1" && case $sp_dialect in
    bash) mapfile -t -d ' ' -s 21 -n 1 sp_start </proc/self/stat && sp_pid=$BASHPID ;;
    *) read -r sp_pid _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ sp_start _ </proc/self/stat ;;
  esac && set -C && printf '%s\n' "$sp_pid $sp_start $sp_host $2" >pid && printf '' >output.log; then
    case $sp_dialect in
      bash) set -m; . ./run >>output.log 2>&1 & ;;
      *) setsid $sp_defaults sh ./run >>output.log 2>&1 & ;;
    esac
    sp_command=$!
    [ -z "$sp_stop" ] || forward "$sp_stop" "$sp_likely"

    sp_first=$sp_hits
    wait "$sp_command"
    sp_status=$?
    [ "$sp_status" -le 128 ] || await_again
    # Fields 16 and 17: the CPU time of the children that were waited for.
    case $sp_dialect in
      bash) mapfile -t -d ' ' -s 15 -n 2 sp_times </proc/self/stat && sp_ticks=$((sp_times[0] + sp_times[1])) ;;
      *) read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ sp_user sp_system _ </proc/self/stat && sp_ticks=$((sp_user + sp_system)) ;;
    esac
    # Whatever of its group is left has ended before the last word is said; without a status, none is.
    ! kill -0 "-$sp_command" || end_group
    [ -z "$sp_status" ] || [ ! -f pid ] || printf 'exited %s %s .\n' "$sp_status" "$sp_ticks" >>pid || insist
  fi
  # If no daemon hears of it, none closes the drop folder: empty, it would look after a power cut as if the cut had emptied it.
  printf 'done %s\n' "$1" || command -p rmdir pending
  exit 0
}

# To the command's group; singly while a `setsid` has not made the group yet. (Every shell takes `kill -TERM -123`; few take `--`.)
forward() {
  sp_hits=$((sp_hits + 1)) sp_stop=$1 sp_likely=$2
  [ -n "$sp_command" ] || return 0
  kill "-$1" "-$sp_command" || kill "-$1" "$sp_command"
  kill -CONT "-$sp_command"
}

# A signal cuts a wait short, in bash the next one too, with a status above 128 that is not the command's; by then the
# command may have been reaped, and its true status kept for whoever asks again. And bash takes a stopped command for an
# ended one. (Its `wait -f` does not, but never returns if a signal came while it was reaping: it burns a processor.) So a
# status above 128 counts when two waits give it, no signal came since before the first, and the command is gone.
# Elsewhere than in bash, a status that was given once may be forgotten: 127, and the one before was the true one.
# Without any, `status` is left empty.
await_again() {
  sp_before='' sp_quiet=''
  while :; do
    if [ "$sp_status $sp_hits" = "$sp_before $sp_quiet" ]; then
      kill -0 "$sp_command" || return 0
      command -p sleep 1 # it is stopped
    elif ! kill -0 "$sp_command" && is_lost; then
      sp_status=$sp_likely
      return 0
    fi
    sp_before=$sp_status sp_quiet=$sp_first sp_first=$sp_hits
    wait "$sp_command"
    sp_status=$?
    if [ "$sp_status" -le 128 ]; then
      [ "$sp_dialect$sp_status" != posix127 ] || sp_status=$sp_before
      return 0
    fi
  done
}

# True if bash, cut short between reaping the command and noting its status, holds for running what is gone: it would
# wait for ever. What was forwarded then most likely ended the command; if nothing was, nobody knows.
is_lost() {
  [ "$sp_dialect" = bash ] && [ "$sp_hits" -gt 0 ] && [ "$(jobs -rp)" = "$sp_command" ]
}

# Leaves nothing of the command's group.
end_group() {
  is_being_ended || { kill -TERM "-$sp_command"; kill -CONT "-$sp_command"; }
  patience 20 || kill -KILL "-$sp_command"
  patience 10
}

# The daemon ends the attempt: it has sent TERM, or is about to, and sends KILL after `kill_after`. The file may be a
# link that leads nowhere; an empty one counts for nothing.
is_being_ended() { [ -L ending ] || [ -s ending ]; }

# Waits at most $1 tenths of a second for the command's group to end, however long the daemon takes for it.
patience() {
  sp_left=$1 sp_step=1
  while group_lives; do
    [ "$sp_left" -gt 0 ] || return
    command -p sleep 0.1 || { command -p sleep 1; sp_step=10; }
    is_being_ended || sp_left=$((sp_left - sp_step))
  done
}

# True if the command's group has a member that is no zombie: one whose parent does not reap keeps a group for ever.
group_lives() {
  kill -0 "-$sp_command" || return
  set +f
  for sp_stat in /proc/[0-9]*/stat; do
    read -r sp_stat <"$sp_stat" || continue
    case ${sp_stat##*) } in [ZX]*) continue ;; esac
    set -f
    set -- ${sp_stat##*) }
    [ "$3" != "$sp_command" ] || return 0
  done
  set -f
  return 1
}

# The last word again, until it fits, or nobody is left to read it. It begins a line of its own: what got through of
# the first one lacks its closing full stop, so it never passes for a last word.
insist() {
  while command -p sleep 1 && [ -f pid ]; do
    ! printf '\nexited %s %s .\n' "$sp_status" "$sp_ticks" >>pid || return 0
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

while read -r sp_order sp_argument sp_inode <&3; do
  case $sp_order in
    run) runner "$sp_argument" "$sp_inode" 3<&- & ;;
    sync) flush "$sp_argument" 3<&- & ;;
  esac
  # bash would remember each and how it ended, and copy that at every fork (if told `disown PID`, it takes half a
  # megabyte to remember that); others keep zombies until they look.
  case $sp_dialect in
    bash) disown -a ;;
    *) jobs >/dev/null ;;
  esac
done
exit 0
}
