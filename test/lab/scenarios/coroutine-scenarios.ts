/** All scenarios of locks, queues, sleeps and task groups: no disk, and every order of their steps. */

import type { Scenario } from "@coblock/testing";
import { coroutineGuarded } from "./coroutine-guarded.ts";
import { coroutineMutex, coroutineMutexAbort } from "./coroutine-mutex.ts";
import { coroutineQueue, coroutineQueueAbort, coroutineQueueOrder } from "./coroutine-queue.ts";
import { coroutineRwLock, coroutineRwLockAbort, coroutineRwLockSides } from "./coroutine-rw-lock.ts";
import { coroutineSleep, coroutineSleepState } from "./coroutine-sleep.ts";
import { coroutineTaskGroup, coroutineTaskGroupCancel } from "./coroutine-task-group.ts";

export const COROUTINE_SCENARIOS: readonly Scenario[] = [
  coroutineMutex,
  coroutineMutexAbort,
  coroutineRwLock,
  coroutineRwLockAbort,
  coroutineRwLockSides,
  coroutineQueue,
  coroutineQueueAbort,
  coroutineQueueOrder,
  coroutineSleep,
  coroutineSleepState,
  coroutineGuarded,
  coroutineTaskGroup,
  coroutineTaskGroupCancel,
];
