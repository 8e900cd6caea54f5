/** The class as numbers: who is there, who needs attention, and one sample of the whole. No page, no clock. */
import type { FrameMetrics, LiveSession, Roster, State } from "./messages";

/** Who needs a look comes first. */
export const ATTENTION: readonly State[] = ["drowsy", "absent", "distracted", "unknown", "engaged"];

/** A student without results for so long is shown as silent. */
export const SILENT_AFTER_MS = 5_000;

export interface Member {
  session: LiveSession;
  metrics: FrameMetrics | null;
  /** The page's clock when the last metrics came. */
  heardAtMs: number | null;
}

export type Members = ReadonlyMap<string, Member>;

/** Takes over a roster: sessions that ended go, new ones come, what is known of the others stays. */
export function applyRoster(members: Members, roster: Roster, nowMs: number): Members {
  const next = new Map<string, Member>();
  for (const session of roster.sessions) {
    if (!session.live) continue;
    const known = members.get(session.session_id);
    const metrics = known?.metrics ?? session.metrics;
    next.set(session.session_id, { session, metrics, heardAtMs: known?.heardAtMs ?? (metrics ? nowMs : null) });
  }
  return next;
}

export function applyMetrics(members: Members, metrics: FrameMetrics, nowMs: number): Members {
  const known = members.get(metrics.session_id);
  if (known === undefined || (known.metrics !== null && metrics.seq <= known.metrics.seq)) return members;
  return new Map(members).set(metrics.session_id, { ...known, metrics, heardAtMs: nowMs });
}

export function isSilent(member: Member, nowMs: number): boolean {
  return member.heardAtMs === null || nowMs - member.heardAtMs > SILENT_AFTER_MS;
}

/** The state shown: a silent student's last state says nothing about now. */
export function shownState(member: Member, nowMs: number): State {
  return isSilent(member, nowMs) ? "unknown" : (member.metrics?.state ?? "unknown");
}

/** Session ids, those who need attention first, then by name. */
export function byAttention(members: Members, nowMs: number): string[] {
  return [...members.values()]
    .map((member) => ({ member, rank: ATTENTION.indexOf(shownState(member, nowMs)) }))
    .sort(
      (a, b) =>
        a.rank - b.rank ||
        a.member.session.display_name.localeCompare(b.member.session.display_name) ||
        a.member.session.session_id.localeCompare(b.member.session.session_id),
    )
    .map(({ member }) => member.session.session_id);
}

export interface ClassSample {
  /** Of those who are measurable; null when nobody is. */
  meanEngagement: number | null;
  counts: Record<State, number>;
}

export function classSample(members: Members, nowMs: number): ClassSample {
  const counts: Record<State, number> = { engaged: 0, distracted: 0, drowsy: 0, absent: 0, unknown: 0 };
  let [sum, measurable] = [0, 0];
  for (const member of members.values()) {
    counts[shownState(member, nowMs)]++;
    const engagement = isSilent(member, nowMs) ? null : (member.metrics?.engagement ?? null);
    if (engagement !== null) {
      sum += engagement;
      measurable++;
    }
  }
  return { meanEngagement: measurable ? sum / measurable : null, counts };
}
