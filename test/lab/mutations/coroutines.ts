/** What makes locks, queues, sleeps and task groups fair and safe, taken out one by one. */

import type { Mutation } from "../mutations.ts";

const MUTEX = "core/src/coroutine/mutex.ts";
const QUEUE = "core/src/coroutine/queue.ts";
const RW_LOCK = "core/src/coroutine/rw-lock.ts";
const SLEEP = "core/src/coroutine/sleep.ts";
const TASK_GROUP = "core/src/coroutine/task-group.ts";
const WAITER = "core/src/coroutine/waiter.ts";

const MUTEX_MUTATIONS: readonly Mutation[] = [
  {
    name: "mutex-two-holders",
    about: "a mutex that is held is taken all the same",
    scenario: "coroutine-mutex",
    by: "exhaustive",
    edits: [
      { file: MUTEX, find: "if (this.locked) await this.#lockInTurn(held, options);\n    else ", replace: "" },
      { file: MUTEX, find: "    await acquired;\n", replace: "    void acquired;\n" },
    ],
    found: /wrong: . goes in before its turn: inside: /,
  },
  {
    name: "mutex-newest-first",
    about: "who comes last is served first",
    scenario: "coroutine-mutex",
    by: "exhaustive",
    edits: [{ file: MUTEX, find: "void this.#mutex.acquire().then", replace: "void this.#mutex.acquire(this.#waiters.size).then" }],
    found: /wrong: . goes in before its turn: inside: nobody; let in: . \(write\); in line: /,
  },
  {
    name: "mutex-no-hand-over",
    about: "a release does not hand the lock to the next in line",
    scenario: "coroutine-mutex",
    by: "exhaustive",
    edits: [{ file: MUTEX, find: "    this.#holder = undefined;\n    this.#mutex.release();", replace: "    this.#holder = undefined;" }],
    found: /wrong: tryLock refuses a free lock|may go in and sleeps/,
  },
  {
    name: "mutex-try-overtakes",
    about: "tryLock takes a lock that is promised to the next in line",
    scenario: "coroutine-mutex",
    by: "exhaustive",
    edits: [
      {
        file: MUTEX,
        find: "    if (this.locked) return undefined;\n    const held",
        replace: "    if (this.#holder !== undefined) return undefined;\n    const held",
      },
    ],
    found: /wrong: tryLock takes a lock that is another's/,
  },
  {
    name: "mutex-section-beside-holder",
    about: "a synchronous section runs beside the holder",
    scenario: "coroutine-mutex",
    by: "exhaustive",
    edits: [{ file: MUTEX, find: "    if (this.#inside) return undefined;\n", replace: "" }],
    found: /wrong: a synchronous section runs beside the holder/,
  },
  {
    name: "mutex-ticket-kept",
    about: "a waiter that gave up keeps its ticket, and the lock with it",
    scenario: "coroutine-mutex-abort",
    by: "exhaustive",
    edits: [{ file: MUTEX, find: "if (!waiter.wake()) return this.#mutex.release();", replace: "if (!waiter.wake()) return;" }],
    found: /wrong: . may go in and sleeps|left behind|stuck: /,
  },
  {
    name: "guarded-within-reach",
    about: "the value can be reached when its lock is released, or let go for a sleep",
    scenario: "coroutine-guarded",
    by: "exhaustive",
    edits: [{ file: "core/src/coroutine/guarded.ts", find: "if (this.released)", replace: "if (this.state === 'waiting')" }],
    found: /wrong: . reaches the value without its lock/,
  },
  {
    name: "guarded-section-beside-holder",
    about: "a synchronous section changes the value between another's read and write",
    scenario: "coroutine-guarded",
    by: "exhaustive",
    edits: [{ file: MUTEX, find: "    if (this.#inside) return undefined;\n", replace: "" }],
    found: /wrong: the count is \d, and was counted up \d times/,
  },
];

const RW_LOCK_MUTATIONS: readonly Mutation[] = [
  {
    name: "rw-lock-last-reader-silent",
    about: "a reader that leaves wakes nobody (hazard: a wake-up is missed)",
    scenario: "coroutine-rw-lock",
    by: "exhaustive",
    edits: [
      {
        file: RW_LOCK,
        find: "    this.#writing = false;\n    this.#admit();",
        replace: '    this.#writing = false;\n    if (held.mode === "write") this.#admit();',
      },
    ],
    found: /stuck: nothing can happen any more(.|\n)* waits for lock "RW"/,
  },
  {
    name: "rw-lock-readers-overtake",
    about: "a reader that comes goes in past a writer that waits (hazard: writers starve)",
    scenario: "coroutine-rw-lock",
    by: "exhaustive",
    edits: [{ file: RW_LOCK, find: "this.#tickets.size === 0 && this.#admits(mode)", replace: "this.#admits(mode)" }],
    found: /wrong: . goes in before its turn: .*in line: . \(write\)/,
  },
  {
    name: "rw-lock-wakes-past-writer",
    about: "where the head of the line does not fit, those behind it are tried (hazard: the wrong waiters go in)",
    scenario: "coroutine-rw-lock",
    by: "exhaustive",
    edits: [{ file: RW_LOCK, find: "if (!this.#admits(mode)) return;", replace: "if (!this.#admits(mode)) continue;" }],
    found: /wrong: . goes in before its turn: .*in line: . \(write\)/,
  },
  {
    name: "rw-lock-one-reader",
    about: "of a run of readers at the head of the line, one goes in",
    scenario: "coroutine-rw-lock",
    by: "exhaustive",
    edits: [
      {
        file: RW_LOCK,
        find: "      waiter.wake(this.#grant(mode, waiter.who));\n",
        replace: "      waiter.wake(this.#grant(mode, waiter.who));\n      return;\n",
      },
    ],
    found: /wrong: . may go in and sleeps/,
  },
  {
    name: "rw-lock-writer-beside-readers",
    about: "a writer goes in beside readers",
    scenario: "coroutine-rw-lock-sides",
    by: "exhaustive",
    edits: [
      { file: RW_LOCK, find: '(mode === "read" || this.#holders.size === 0)', replace: '(mode === "read" || this.#holders.size < 2)' },
    ],
    found: /wrong: . goes in before its turn: inside: . \(read\)|wrong: . goes in before its turn/,
  },
  {
    name: "rw-lock-abort-wakes-nobody",
    about: "a writer that gives up lets nobody in who waited behind it",
    scenario: "coroutine-rw-lock-abort",
    by: "exhaustive",
    edits: [
      { file: RW_LOCK, find: "      this.#tickets.delete(ended);\n", replace: "      this.#tickets.delete(ended);\n      return;\n" },
    ],
    found: /wrong: . may go in and sleeps/,
  },
  {
    name: "rw-lock-ticket-kept",
    about: "a waiter that gave up keeps its ticket, and is let in when its turn comes",
    scenario: "coroutine-rw-lock-abort",
    by: "exhaustive",
    edits: [{ file: RW_LOCK, find: "      this.#tickets.delete(ended);\n", replace: "" }],
    found: /wrong: . may go in and sleeps|left behind: |stuck: /,
  },
  {
    name: "waiter-abort-after-wake",
    about: "an abort takes the lock from one that was woken already, and nobody has it then",
    scenario: "coroutine-rw-lock-abort",
    by: "exhaustive",
    edits: [
      {
        file: WAITER,
        find: '        signal.removeEventListener("abort", abort);\n        resolve(value);\n',
        replace:
          '        queueMicrotask(() => {\n          signal.removeEventListener("abort", abort);\n          resolve(value);\n        });\n',
      },
    ],
    found: /wrong: . may go in and sleeps|left behind: |stuck: /,
  },
  {
    name: "waiter-goes-on-inside-waker",
    about: "a coroutine that is woken goes on inside of the call that wakes it",
    scenario: "coroutine-rw-lock",
    by: "exhaustive",
    edits: [
      { file: WAITER, find: "  #resolve: (", replace: "  readonly #whenWoken: ((value: Value) => void)[] = [];\n  #resolve: (" },
      {
        file: WAITER,
        find: "    resolve(value);\n    return true;",
        replace: "    resolve(value);\n    for (const goOn of this.#whenWoken) goOn(value);\n    return true;",
      },
      {
        file: WAITER,
        find: "  /** Ends the wait; `false`",
        replace:
          "  onWake<R>(goOn: (value: Value) => R): Promise<R> {\n    return new Promise((resolve, reject) => this.#whenWoken.push((value) => { try { resolve(goOn(value)); } catch (error) { reject(error); } }));\n  }\n\n  /** Ends the wait; `false`",
      },
      { file: RW_LOCK, find: "  async #lock(", replace: "  #lock(" },
      {
        file: RW_LOCK,
        find: "return this.#grant(mode, options?.who);",
        replace: "return Promise.resolve(this.#grant(mode, options?.who));",
      },
      { file: RW_LOCK, find: "    return waiter.ended;", replace: "    return { then: (goOn) => waiter.onWake(goOn) };" },
    ],
    found: /wrong: . goes on inside of .'s call that wakes it/,
  },
];

const QUEUE_MUTATIONS: readonly Mutation[] = [
  {
    name: "queue-unlocks-first",
    about: "the lock is let go before the sleeper is in the queue (hazard: the wake-up comes in between and is lost)",
    scenario: "coroutine-queue",
    by: "exhaustive",
    edits: [
      {
        file: QUEUE,
        find: "    const waiter = this.#enqueue(options);\n    held.suspend();\n",
        replace: "    held.suspend();\n    (await held.mutex.lock())[Symbol.dispose]();\n    const waiter = this.#enqueue(options);\n",
      },
    ],
    found: /stuck: nothing can happen any more(.|\n)* waits for lock "(item|room)"/,
  },
  {
    name: "queue-comes-back-unlocked",
    about: "a sleeper comes back from its queue without its lock",
    scenario: "coroutine-queue",
    by: "exhaustive",
    edits: [{ file: QUEUE, find: "      await held.resume();\n", replace: "" }],
    found: /wrong: . comes back from queue "(item|room)" without its lock/,
  },
  {
    name: "queue-abort-unlocked",
    about: "a sleeper whose signal aborts comes back without its lock",
    scenario: "coroutine-queue-abort",
    by: "exhaustive",
    edits: [
      {
        file: QUEUE,
        find: "    try {\n      await waiter.ended;\n    } finally {\n      await held.resume();\n    }\n",
        replace: "    await waiter.ended;\n    await held.resume();\n",
      },
    ],
    found: /wrong: A comes back from queue "item" without its lock/,
  },
  {
    name: "queue-wakes-the-gone",
    about: "a sleeper that gave up stays in the queue, and takes the wake-up of one that sleeps on",
    scenario: "coroutine-queue-abort",
    by: "exhaustive",
    edits: [{ file: QUEUE, find: "      this.#waiters.delete(ended);\n", replace: "      void ended;\n" }],
    found: /stuck: nothing can happen any more(.|\n)*B waits for lock "item"/,
  },
  {
    name: "queue-newest-first",
    about: "who came last is woken first",
    scenario: "coroutine-queue-order",
    by: "exhaustive",
    edits: [
      {
        file: QUEUE,
        find: "    for (const waiter of this.#waiters) {\n      this.#waiters.delete(waiter);",
        replace: "    for (const waiter of [...this.#waiters].reverse()) {\n      this.#waiters.delete(waiter);",
      },
    ],
    found: /wrong: . is woken before its turn; in line: /,
  },
  {
    name: "queue-wakes-all-but-one",
    about: "of all that are to be woken, the last sleeps on",
    scenario: "coroutine-queue-order",
    by: "exhaustive",
    edits: [
      {
        file: QUEUE,
        find: "for (const waiter of this.#waiters) waiter.wake();",
        replace: "for (const waiter of [...this.#waiters].slice(0, -1)) waiter.wake();",
      },
    ],
    found: /wrong: . was woken and sleeps on|stuck: /,
  },
];

const SLEEP_MUTATIONS: readonly Mutation[] = [
  {
    name: "sleep-remembers-wake",
    about: "a wake-up with no sleeper is kept for the next one",
    scenario: "coroutine-sleep",
    by: "exhaustive",
    edits: [
      {
        file: SLEEP,
        find: '    this.#rise()?.wake("woken");',
        replace: '    if (this.#sleeper === undefined) this.remembered = true;\n    this.#rise()?.wake("woken");',
      },
      { file: SLEEP, find: "  #timer: Disposable | undefined;\n", replace: "  #timer: Disposable | undefined;\n  remembered = false;\n" },
      {
        file: SLEEP,
        find: "    this.#timer = clock",
        replace: '    if (this.remembered) {\n      this.remembered = false;\n      return "woken";\n    }\n    this.#timer = clock',
      },
    ],
    found: /wrong: a sleep is woken, and the sleeper was asleep/,
  },
  {
    name: "sleep-loses-wake",
    about: "a sleeper is in its bed one microtask after it was sent there",
    scenario: "coroutine-sleep-state",
    by: "exhaustive",
    edits: [{ file: SLEEP, find: "    this.#timer = clock", replace: "    await Promise.resolve();\n    this.#timer = clock" }],
    found: /wrong: a wake-up in the turn in which the sleep begins is lost/,
  },
  {
    name: "sleep-timer-left",
    about: "the timer of a sleep that ended early ends the next one",
    scenario: "coroutine-sleep",
    by: "exhaustive",
    edits: [{ file: SLEEP, find: "    this.#timer?.[Symbol.dispose]();\n", replace: "" }],
    found: /wrong: a sleep of 100 ms is over after \d+ ms|left behind: .* timers are still set/,
  },
  {
    name: "sleep-abort-keeps-bed",
    about: "a sleeper that gave up stays in its bed",
    scenario: "coroutine-sleep",
    by: "exhaustive",
    edits: [{ file: SLEEP, find: "undefined, () => this.#rise());", replace: "undefined, () => {});" }],
    found: /thrown: .*two coroutines sleep in one CoSleep/,
  },
];

const TASK_GROUP_MUTATIONS: readonly Mutation[] = [
  {
    name: "task-group-room-twice",
    about: "room that a task leaves is given to the next and counted as free",
    scenario: "coroutine-task-group",
    by: "exhaustive",
    edits: [
      {
        file: TASK_GROUP,
        find: "      spawner.wake(true);\n      return;\n",
        replace: "      spawner.wake(true);\n      break;\n",
      },
    ],
    found: /wrong: task 4 starts beside 2 others|wrong: the group is closed, and . of its tasks run on/,
  },
  {
    name: "task-group-outlived",
    about: "closing does not wait for the tasks",
    scenario: "coroutine-task-group",
    by: "exhaustive",
    edits: [{ file: TASK_GROUP, find: "    while (this.#running > 0) await this.#allEnded.waitUnlocked();\n", replace: "" }],
    found: /wrong: the group is closed, and . of its tasks run on/,
  },
  {
    name: "task-group-failure-unseen",
    about: "after a failure more tasks are started",
    scenario: "coroutine-task-group",
    by: "exhaustive",
    edits: [{ file: TASK_GROUP, find: "      else this.cancel(error);\n", replace: "      else this.#errors.push(error);\n" }],
    found: /wrong: task . starts in a group that is cancelled/,
  },
  {
    name: "task-group-cancel-forgets",
    about: "those who wait for room sleep on when the group is cancelled",
    scenario: "coroutine-task-group-cancel",
    by: "exhaustive",
    edits: [{ file: TASK_GROUP, find: "    for (const spawner of this.#spawners) spawner.wake(false);\n", replace: "" }],
    found: /stuck: nothing can happen any more\n {2}A has not ended/,
  },
];

export const COROUTINE_MUTATIONS: readonly Mutation[] = [
  ...MUTEX_MUTATIONS,
  ...RW_LOCK_MUTATIONS,
  ...QUEUE_MUTATIONS,
  ...SLEEP_MUTATIONS,
  ...TASK_GROUP_MUTATIONS,
];
