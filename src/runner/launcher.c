// The launcher, native: what launcher.sh does, at the price of fork and exec. `npm ci` compiles it where there is a C
// compiler; elsewhere the shell does it. Orders, answers and files are the same.
//
//   launcher UMASK BOOT_ID PID_NAMESPACE HOST     started once, in its own session, in the state directory
//
//   in    run RUNDIR INODE        fork a runner for this attempt
//         sync TOKEN              sync the file system of the state directory, in the background
//   out   done RUNDIR             that runner has ended, with or without having run anything
//         done RUNDIR STATUS CPUTICKS MAXRSS STARTED FINISHED BYTES CLOSED INODE
//                               it has said its last word; what a look would find of the attempt: most memory of one
//                               process in KB, ms since 1970, size of the log, 1 if its empty drop folder was removed
//         synced TOKEN            or `unsynced TOKEN`, where something could not be written
//
// At the end of its input it goes; runners stay until their commands have ended. A runner leaves in its run directory
//   pid           line 1, before anything else: PID STARTTIME BOOT_ID PID_NAMESPACE HOST INODE
//                 its last word, once the command has ended and its group is empty: exited STATUS CPUTICKS .
//   output.log    made exclusively after line 1 and before the command: whoever makes it first decides if it runs
// A crash between any two steps leaves a pid file without a last word and a runner that is provably dead.
//
// `run` is a shell script. Where it is what script.ts writes for a plain task, the runner does itself what it says:
// two shells fewer. At anything else (an unknown line, a program that is not found, a directory that cannot be entered)
// nothing has been run yet, and /bin/sh gets the script: it knows the right words and exit statuses.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range // headers of a kernel before 5.9; an older kernel says that it has none
#define SYS_close_range 436
#endif

enum { ORDERS = 3, ANSWERS = STDOUT_FILENO, TICKS_PER_SECOND = 100 };

extern char **environ;

// ---- What `run` says ----

enum { MOST_TEXT = 1 << 16, MOST_WORDS = 1024, MOST_VARIABLES = 1024 };

static struct {
  char text[MOST_TEXT + 1];
  char words[MOST_TEXT + 1]; // without their quotes, each with its end
  char *argv[MOST_WORDS + 1];
  char *env[MOST_VARIABLES + 2];
  int arguments, variables;
  const char *cwd, *input;
  mode_t mask;
} script;

static char *at;   // in text
static char *free_at; // in words

static void unset(const char *name, size_t length) {
  for (int i = 0; i < script.variables; i++) {
    if (strncmp(script.env[i], name, length) != 0 || script.env[i][length] != '=') continue;
    script.env[i] = script.env[--script.variables];
    script.env[script.variables] = NULL;
    return;
  }
}

static bool set(char *variable) {
  unset(variable, strcspn(variable, "="));
  if (script.variables == MOST_VARIABLES) return false;
  script.env[script.variables++] = variable;
  return true;
}

static bool take(const char *literal) {
  size_t length = strlen(literal);
  if (strncmp(at, literal, length) != 0) return false;
  at += length;
  return true;
}

// The next word, as script.ts quotes it; NULL if there is none, or it is anything else.
static char *take_word(void) {
  char *word = free_at;
  const char *begin = at;
  for (;;) {
    if (*at == '\'') {
      char *end = strchr(at + 1, '\'');
      if (end == NULL) return NULL;
      size_t length = end - at - 1;
      memcpy(free_at, at + 1, length);
      free_at += length;
      at = end + 1;
    } else if (at[0] == '\\' && at[1] == '\'') {
      *free_at++ = '\'';
      at += 2;
    } else if (isalnum((unsigned char)*at) || (*at != '\0' && strchr("_./:@%+,=-", *at) != NULL)) {
      *free_at++ = *at++;
    } else {
      break;
    }
  }
  if (at == begin) return NULL;
  *free_at++ = '\0';
  return word;
}

static bool take_complaint(void) {
  return take(" || { printf '%s\\n' ") && take_word() != NULL && take(" >&2; exit 125; }\n");
}

static bool take_unset(void) {
  char *name = take_word();
  if (name == NULL) return false;
  unset(name, strlen(name));
  return take("\n");
}

static bool take_export(void) {
  do {
    char *variable = take_word();
    if (variable == NULL || strchr(variable, '=') == NULL || !set(variable)) return false;
    take(" 2>/dev/null");
  } while (take(" \\\n  "));
  return take("\n");
}

static bool take_readable(void) { return take_word() != NULL && take(" ]") && take_complaint(); }

static bool take_cd(void) {
  // A shell keeps the directory it is in as PWD, too.
  char *variable = free_at;
  free_at = stpcpy(free_at, "PWD=");
  script.cwd = take_word();
  return script.cwd != NULL && set(variable) && take(" 2>/dev/null") && take_complaint();
}

static bool take_umask(void) {
  char *word = take_word(), *end;
  if (word == NULL) return false;
  script.mask = strtoul(word, &end, 8);
  return *end == '\0' && take("\n");
}

// What env(1) would do for variables that no shell can set: done here, their values are in no process's arguments.
static bool be_env(void) {
  char **word = script.argv + 1;
  if (strcmp(script.argv[0], "/usr/bin/env") != 0) return true;
  while (*word != NULL && strcmp(*word, "-u") == 0 && word[1] != NULL) word += 2;
  if (*word == NULL || strcmp(*word, "--") != 0) return true; // not of script.ts
  for (char **gone = script.argv + 2; gone < word; gone += 2) unset(*gone, strlen(*gone));
  for (word++; *word != NULL && strchr(*word, '=') != NULL; word++) {
    if (!set(*word)) return false;
  }
  if (*word == NULL) return false;
  script.arguments -= word - script.argv;
  memmove(script.argv, word, (script.arguments + 1) * sizeof *word);
  return true;
}

static bool take_exec(void) {
  while (!take("<")) {
    char *argument = take_word();
    if (argument == NULL || script.arguments == MOST_WORDS) return false;
    script.argv[script.arguments++] = argument;
    if (!take(" ")) return false;
  }
  script.input = take_word();
  return script.input != NULL && script.arguments > 0 && take("\n") && *at == '\0' && be_env();
}

static bool take_line(void) {
  if (*at == '#') {
    at = strchr(at, '\n');
    return at != NULL && take("\n");
  }
  if (take("unset -v ")) return take_unset();
  if (take("export ")) return take_export();
  if (take("[ -r ")) return take_readable();
  if (take("cd ")) return take_cd();
  if (take("umask ")) return take_umask();
  return take("exec ") && take_exec();
}

// Reads `run`. False if it is not wholly what script.ts writes for a plain task.
static bool read_script(void) {
  int file = open("run", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length = read(file, script.text, MOST_TEXT);
  close(file);
  if (length <= 0 || length == MOST_TEXT) return false;
  script.text[length] = '\0';
  at = script.text;
  free_at = script.words;
  for (char **variable = environ; *variable != NULL; variable++) {
    if (script.variables == MOST_VARIABLES) return false;
    script.env[script.variables++] = *variable;
  }
  while (script.arguments == 0) {
    if (!take_line()) return false;
  }
  return script.cwd != NULL;
}

// ---- The command ----

// The daemon ends the attempt: it has sent TERM, or is about to, and sends KILL after `kill_after`. The file may be a
// link that leads nowhere; an empty one counts for nothing.
static bool is_being_ended(void) {
  struct stat ending;
  return lstat("ending", &ending) == 0 && ending.st_size > 0;
}

static mode_t own_mask;

static const int SIGNALS[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM};
enum { SIGNAL_COUNT = sizeof SIGNALS / sizeof *SIGNALS, FORWARDED = 4 };

static volatile sig_atomic_t is_runner, stop_with;
static volatile pid_t command;

static void forward(void) {
  if (command <= 0 || stop_with == 0) return;
  kill(-command, stop_with);
  kill(-command, SIGCONT);
}

// The launcher dies of them as if nothing were caught; a runner hands on those that are meant to stop its command.
static void on_signal(int number) {
  int before = errno;
  if (!is_runner) {
    signal(number, SIG_DFL);
    raise(number);
  }
  for (int i = 0; i < FORWARDED; i++) {
    if (SIGNALS[i] != number) continue;
    stop_with = number;
    forward();
  }
  errno = before;
}

static void with_signals(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  for (int i = 0; i < SIGNAL_COUNT; i++) sigaction(SIGNALS[i], &action, NULL);
}

// Like execvpe, by the PATH that the command itself gets.
static void become(char **argv, char **env) {
  const char *name = argv[0], *path = NULL;
  if (strchr(name, '/') != NULL) {
    execve(name, argv, env);
    return;
  }
  for (char **variable = env; *variable != NULL; variable++) {
    if (strncmp(*variable, "PATH=", 5) == 0) path = *variable + 5;
  }
  char file[PATH_MAX];
  for (const char *folder = path; folder != NULL && *folder != '\0';) {
    size_t length = strcspn(folder, ":");
    if (length > 0 && length + strlen(name) + 2 <= sizeof file) {
      memcpy(file, folder, length);
      file[length] = '/';
      strcpy(file + length + 1, name);
      execve(file, argv, env);
      if (errno != ENOENT && errno != ENOTDIR) return;
    } else {
      return; // an empty entry means the working directory: the shell knows
    }
    folder += length + (folder[length] == ':');
  }
}

// Starts a program in a group of its own, its output in the log. 0 if it could not be executed, -1 and errno if there is
// no process to be had: then nothing has run.
// The child borrows this process's memory until it has become the command (vfork), so it must not change any.
static __attribute__((noinline)) pid_t try_to_start(char **argv, char **env, const char *cwd, int input, int log) {
  static volatile bool failed;
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  failed = false;
  pid_t child = vfork();
  if (child == 0) {
    setpgid(0, 0);
    with_signals(SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (input >= 0) dup2(input, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    umask(script.mask);
    if (cwd == NULL || chdir(cwd) == 0) become(argv, env);
    failed = true;
    _exit(127);
  }
  int error = errno;
  if (child > 0 && failed) {
    waitpid(child, NULL, 0);
    child = 0;
  }
  command = child;
  sigprocmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return child;
}

static void pause_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static bool write_whole(int file, const char *text, int length) { return write(file, text, length) == length; }

enum { MOST_TRIES = 60 };

// Where a limit on processes is reached, or memory is short, it waits: an attempt that has begun must not be lost for it.
// Not for ever, for it holds a process itself. One that is being ended or whose folder is gone is not started any more.
static pid_t start(char **argv, char **env, const char *cwd, int input, int log) {
  static const char words[] = "spoold: no process can be had (ulimit -u, pids.max, memory): tried again each second\n";
  for (int tries = 1;; tries++) {
    pid_t child = try_to_start(argv, env, cwd, input, log);
    if (child >= 0 || (errno != EAGAIN && errno != ENOMEM)) return child;
    if (tries == 1) write_whole(log, words, sizeof words - 1);
    if (tries == MOST_TRIES || is_being_ended() || access("pid", F_OK) < 0) return child;
    pause_ms(1000);
  }
}

static pid_t start_command(int log) {
  script.mask = own_mask;
  if (read_script()) {
    int input = strcmp(script.input, "/dev/null") == 0 ? -1 : open(script.input, O_RDONLY | O_CLOEXEC);
    if (input >= 0 || strcmp(script.input, "/dev/null") == 0) {
      pid_t child = start(script.argv, script.env, script.cwd, input, log);
      if (child != 0) return child;
    }
  }
  script.mask = own_mask;
  char *shell[] = {"/bin/sh", "./run", NULL};
  return start(shell, environ, NULL, -1, log);
}

// True if the group has a member that is no zombie: one whose parent does not reap keeps a group for ever.
static bool group_lives(pid_t group) {
  if (kill(-group, 0) < 0 && errno == ESRCH) return false;
  DIR *processes = opendir("/proc");
  if (processes == NULL) return true;
  bool lives = false;
  for (struct dirent *entry; !lives && (entry = readdir(processes)) != NULL;) {
    char path[64], stat[1024], state;
    int of;
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, stat, sizeof stat - 1);
    if (file >= 0) close(file);
    if (length <= 0) continue;
    stat[length] = '\0';
    char *end = strrchr(stat, ')'); // the name before it may hold anything
    if (end != NULL && sscanf(end + 1, " %c %*d %d", &state, &of) == 2) lives = of == group && state != 'Z' && state != 'X';
  }
  closedir(processes);
  return lives;
}

// Waits at most so long for the command's group to end, however long the daemon takes for it; looks often at first.
static bool group_ends(pid_t group, int ms) {
  for (int waited = 0, step = 1; group_lives(group); step = step < 50 ? step * 2 : 100) {
    if (waited >= ms) return false;
    pause_ms(step);
    if (!is_being_ended()) waited += step;
  }
  return true;
}

// Leaves nothing of the command's group.
static void end_group(pid_t group) {
  if (!group_lives(group)) return;
  if (!is_being_ended()) {
    kill(-group, SIGTERM);
    kill(-group, SIGCONT);
  }
  if (group_ends(group, 2000)) return;
  kill(-group, SIGKILL);
  group_ends(group, 1000);
}

// ---- A runner ----

static const char *host; // BOOT_ID PID_NAMESPACE HOST

static long long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static unsigned long long boot_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * (unsigned long long)TICKS_PER_SECOND + now.tv_nsec / (1000000000 / TICKS_PER_SECOND);
}

// Field 22 of /proc/self/stat: the boot time at which the process was made, in ticks. `before` was read before it was.
static unsigned long long start_ticks(unsigned long long before) {
  if (boot_ticks() == before) return before;
  char stat[1024];
  int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, stat, sizeof stat - 1);
  if (file >= 0) close(file);
  if (length <= 0) return before;
  stat[length] = '\0';
  char *field = strrchr(stat, ')');
  for (int i = 2; field != NULL && i < 22; i++) field = strchr(field + 1, ' ');
  return field == NULL ? before : strtoull(field, NULL, 10);
}

// The last word again, until it fits, or nobody is left to read it. It begins a line of its own: what got through of
// the first one lacks its closing full stop, so it never passes for a last word.
static void say_last_word(int pid_file, int status, long ticks) {
  char line[64];
  int length = snprintf(line, sizeof line, "\nexited %d %ld .\n", status, ticks);
  if (write_whole(pid_file, line + 1, length - 1)) return;
  while (access("pid", F_OK) == 0) {
    pause_ms(1000);
    if (write_whole(pid_file, line, length)) return;
  }
}

static void answer(const char *text, int length) {
  while (write(ANSWERS, text, length) < 0 && errno == EINTR) {}
}

// Claims the attempt, runs its command, says how it ended. Runs nothing if anything is not as it should be.
static void run_attempt(const char *dir, unsigned long long made_after) {
  char line[PATH_MAX + 256];
  int length = snprintf(line, sizeof line, "done %s\n", dir);
  is_runner = true;
  setsid(); // a group of the launcher's session that is stopped when the launcher dies would be sent SIGHUP
  signal(SIGCHLD, SIG_DFL);
  struct stat here;
  if (chdir(dir) < 0 || stat(".", &here) < 0) return answer(line, length);
  int pid_file = open("pid", O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (pid_file < 0) return answer(line, length);
  char identity[512];
  int identity_length = snprintf(identity, sizeof identity, "%d %llu %s %llu\n", (int)getpid(), start_ticks(made_after),
                                 host, (unsigned long long)here.st_ino);
  if (!write_whole(pid_file, identity, identity_length)) return answer(line, length);
  int log = open("output.log", O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (log < 0) return answer(line, length);

  long long started = milliseconds();
  pid_t child = start_command(log);
  if (child <= 0) return answer(line, length);
  forward(); // what came before there was anything to forward it to

  int status;
  struct rusage usage;
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {}
  command = 0;
  if (kill(-child, 0) == 0 || errno != ESRCH) end_group(child);
  int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  long ticks = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * TICKS_PER_SECOND +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / (1000000 / TICKS_PER_SECOND);
  say_last_word(pid_file, exit_status, ticks);
  int closed = rmdir("pending") == 0;
  struct stat output = {.st_size = 0};
  fstat(log, &output);
  length = snprintf(line, sizeof line, "done %s %d %ld %ld %lld %lld %lld %d %llu\n", dir, exit_status, ticks,
                    usage.ru_maxrss, started, milliseconds(), (long long)output.st_size, closed,
                    (unsigned long long)here.st_ino);
  answer(line, length);
}

// ---- The launcher ----

static void sync_all(const char *token) {
  int root = open(".", O_RDONLY | O_CLOEXEC);
  bool is_synced = root < 0 || syncfs(root) == 0;
  if (root < 0) sync(); // which says nothing of what could not be written
  else close(root);
  char line[64];
  answer(line, snprintf(line, sizeof line, "%s %.40s\n", is_synced ? "synced" : "unsynced", token));
}

static void obey(char *order) {
  char *word = strtok(order, " "), *argument = strtok(NULL, " ");
  if (word == NULL || argument == NULL) return;
  unsigned long long now = boot_ticks();
  bool is_run = strcmp(word, "run") == 0;
  pid_t child = fork();
  if (child > 0) return;
  if (child == 0 && is_run) run_attempt(argument, now);
  if (!is_run) sync_all(argument); // itself, where no process is to be had; of an attempt, the daemon will see that it has not begun
  if (child == 0) _exit(0);
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  static char place[256];
  own_mask = strtoul(arguments[1], NULL, 8);
  umask(own_mask);
  snprintf(place, sizeof place, "%.60s %.60s %.100s", arguments[2], arguments[3], arguments[4]);
  host = place;
  if (dup3(STDIN_FILENO, ORDERS, O_CLOEXEC) < 0) return 1;
  int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) return 1;
  syscall(SYS_close_range, ORDERS + 1, ~0U, 0); // what the daemon was started with is no business of a task
  with_signals(on_signal);
  signal(SIGCHLD, SIG_IGN); // nobody waits for runners

  static char buffer[1 << 16];
  for (size_t held = 0;;) {
    ssize_t more = read(ORDERS, buffer + held, sizeof buffer - held);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) return 0;
    held += more;
    char *begin = buffer, *end;
    while ((end = memchr(begin, '\n', buffer + held - begin)) != NULL) {
      *end = '\0';
      obey(begin);
      begin = end + 1;
    }
    held -= begin - buffer;
    if (held == sizeof buffer) return 1;
    memmove(buffer, begin, held);
  }
}
