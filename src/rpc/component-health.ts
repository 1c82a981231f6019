// Health in Milvus' form: a state for each component of this process, for /healthz and
// GetComponentStates. A component whose problem concerns one collection still serves: its state
// stays Healthy and the reasons stand beside it; a probe that took the whole server out of service,
// or started it again, because one collection is damaged would make the damage larger.

import type { Health, HealthPhase } from '../base/health.ts';
import { ROLE_NAMES } from './contract.ts';

/** Milvus' common.StateCode. */
export const STATE_CODES = {
  Initializing: 0,
  Healthy: 1,
  Abnormal: 2,
  StandBy: 3,
  Stopping: 4,
} as const;

export type StateCode = (typeof STATE_CODES)[keyof typeof STATE_CODES];

export interface ComponentHealth {
  /** The role, such as `querynode`. */
  readonly name: string;
  readonly code: StateCode;
  /** What is wrong, a sentence each; absent when nothing is. */
  readonly reasons?: readonly string[];
}

const CODE_BY_PHASE: Readonly<Record<HealthPhase, StateCode>> = {
  starting: STATE_CODES.Initializing,
  serving: STATE_CODES.Healthy,
  stopping: STATE_CODES.Stopping,
};

/** Problems that one answer lists; it says how many more there are. */
export const PROBLEMS_LISTED_MAX = 100;

/** Returns every component of this process, the proxy first. */
export function listComponents(health: Health): ComponentHealth[] {
  const code = CODE_BY_PHASE[health.phase];
  const reasons = new Map<string, string[]>();
  for (const { component, reason } of health.list(PROBLEMS_LISTED_MAX)) {
    reasons.set(component, [...(reasons.get(component) ?? []), reason]);
  }
  return ['proxy', ...ROLE_NAMES].map((name) => {
    const own = reasons.get(name);
    return own === undefined ? { name, code } : { name, code, reasons: own };
  });
}
