// The words of a runbook in two languages. Actions that the product does by itself have one text each: what is done, by whom it is seen.

import type { PlanRunKind } from '../model/failover-kind.ts';
import type { BuiltinAction, PlanState } from './plan-run.ts';

export const LANGUAGES = ['en', 'zh'] as const;
export type Language = (typeof LANGUAGES)[number];

export type RunbookTexts = {
  readonly title: string;
  readonly madeFrom: (version: number, digest: string) => string;
  readonly sites: string;
  readonly source: string;
  readonly target: string;
  readonly witness: string;
  readonly noWitness: string;
  readonly objectives: string;
  readonly rpo: string;
  readonly rto: string;
  readonly longest: string;
  readonly people: string;
  readonly planned: string;
  readonly unplanned: string;
  readonly breakGlass: string;
  readonly lease: string;
  readonly leaseText: (ttl: string, margin: string, stops: boolean) => string;
  readonly proofs: string;
  readonly groups: string;
  readonly group: string;
  readonly assets: string;
  readonly after: string;
  readonly consistency: string;
  readonly consistencies: Readonly<Record<'barrier' | 'epsilon' | 'none', string>>;
  readonly runs: Readonly<Record<PlanRunKind, { readonly title: string; readonly when: string }>>;
  readonly states: Readonly<Record<PlanState, string>>;
  readonly columns: readonly [string, string, string, string, string, string];
  readonly noLimit: string;
  readonly parallel: (wave: number) => string;
  readonly at: Readonly<Record<'source' | 'target', string>>;
  readonly gate: (people: number) => string;
  readonly continues: string;
  readonly asksNobody: string;
  readonly leavesOut: string;
  readonly promoteClone: (asset: string) => string;
  readonly route: (name: string, kind: string, to: string | undefined) => string;
  readonly undo: string;
  readonly noUndo: string;
  readonly command: string;
  readonly done: string;
  readonly signature: string;
  readonly actions: Readonly<Record<BuiltinAction, (asset: string, people: number) => string>>;
};

const EN: RunbookTexts = {
  title: 'Disaster recovery runbook',
  madeFrom: (version, digest) =>
    `Made from version ${version} of the plan, digest \`${digest}\`. The same plan is what the service carries out: when this digest is not the one that "holdfast plan render" prints today, this paper is out of date.`,
  sites: 'Sites',
  source: 'Source',
  target: 'Target',
  witness: 'Witness',
  noWitness: 'none',
  objectives: 'Objectives',
  rpo: 'Work that may be lost at the most (RPO)',
  rto: 'Time until clients write again at the most (RTO)',
  longest: 'Longest by the limits of the steps',
  people: 'Who decides',
  planned: 'Planned switch: people who approve',
  unplanned: 'Unplanned failover: people who approve',
  breakGlass: 'Without proof of fencing (break-glass): people',
  lease: 'The right to write',
  leaseText: (ttl, margin, stops) =>
    `The source may write for ${ttl} after it last renewed its lease, and the target waits ${margin} longer. When the source cannot renew it, it ${stops ? 'stops writing' : 'goes on writing: the target takes over only with proof that it was cut off'}.`,
  proofs: 'Accepted proofs of fencing',
  groups: 'Groups, in the order in which they come up',
  group: 'Group',
  assets: 'Assets',
  after: 'After',
  consistency: 'Consistency between its members',
  consistencies: { barrier: 'barrier: one instant', epsilon: 'at most this far apart', none: 'none' },
  runs: {
    planned: { title: 'Planned switch', when: 'Both sites are up; the source is to be left. No loss.' },
    unplanned: {
      title: 'Unplanned failover',
      when: 'The source is lost or cut off. What was not replicated is lost, and told exactly.',
    },
    failback: {
      title: 'Failback',
      when: 'Back to the first site, after it has caught up. No loss. Source and target are exchanged.',
    },
    drill: { title: 'Drill', when: 'A rehearsal in a closed network. Production is not touched.' },
  },
  states: {
    declared: 'Declared',
    fenced: 'Fenced',
    sealed: 'Sealed',
    'caught-up': 'Caught up',
    granted: 'Granted',
    promoted: 'Promoted',
    routed: 'Routed',
    verified: 'Verified',
    committed: 'Committed',
    're-protecting': 'Protected again',
  },
  columns: ['No.', 'State', 'Group', 'What is done', 'Limit', 'Done, time, name'],
  noLimit: 'people',
  parallel: (wave) => `wave ${wave}`,
  at: { source: 'at the source', target: 'at the target' },
  gate: (people) => `GATE, ${people} ${people === 1 ? 'person' : 'people'}:`,
  continues: 'failure does not stop the run',
  asksNobody: 'nobody is asked in a drill',
  leavesOut: 'left out in a drill: the source is production',
  promoteClone: (asset) => `Promote the clone of ${asset}; nothing of it is published`,
  route: (name, kind, to) => `Route ${name} (${kind})${to === undefined ? '' : ` leads to ${to}`}`,
  undo: 'Until here everything can be undone with "holdfast failover undo": the source gets its right to write back.',
  noUndo: 'From here on there is no way back but a failback.',
  command: 'Command',
  done: 'Done',
  signature: 'Carried out by, date, signature',
  actions: {
    declare: (_, people) => `Declare: reason, recovery point, approval by ${people}`,
    'check-target': () => 'See that the target answers; before a planned switch, that its standby is whole and close behind',
    'drain-database': (asset) => `Stop clients of ${asset}, write its last checkpoint and archive the last log`,
    'fence-demote': () => 'The source gives its right to write away and signs the demotion token: system, timeline, LSN, epoch',
    'fence-revoke': () => 'Revoke the credentials of the epoch everywhere and renew its lease no more',
    'fence-power-off': () => 'Cut the source off, and see by another way that it is',
    'fence-wait': () => 'Wait until the lease and all promises have expired',
    seal: () => 'Seal the log of the epoch in every store that answers; what arrives later is kept as orphan',
    'catch-up': (asset) => `${asset} catches up with the sealed log, whose chain is verified`,
    'last-backup': (asset) => `Back ${asset} up at the source once more, and wait until the copy has it`,
    refresh: (asset) => `Bring ${asset} to the newest recovery point of the replica; what differs there is set aside`,
    'show-loss': (_, people) => `Show the exact loss. Above the RPO: stop, ${people} decide`,
    grant: () => 'Grant the next epoch to the target, by quorum',
    promote: (asset) => `Promote ${asset}, publish its history and its first log`,
    'bring-up': (asset) => `Read ${asset} again and compare it with its recovery point`,
    'verify-pages': () => 'Check a sample of the indexes and pages (amcheck)',
    commit: () => 'Commit: from here on it counts as done',
    protect: () => 'Protect the new primary at once: its log and a base backup; then sign the evidence',
    isolate: () => 'Make a closed network and a new incarnation without any credential of production',
    clone: (asset) => `Restore ${asset} from its immutable recovery point to a clone that archives nothing`,
    probe: () => 'Negative probes: no address of production may answer, no write may succeed',
    destroy: () => 'Destroy the clone and record that it is gone',
    'write-test': () => 'First write of the application: it ends the measured recovery time',
  },
};

const ZH: RunbookTexts = {
  title: '灾难恢复操作手册',
  madeFrom: (version, digest) =>
    `由预案第 ${version} 版生成，摘要 \`${digest}\`。系统自动执行的就是同一份预案：如果该摘要与今天“holdfast plan render”打印的不同，则本手册已过期。`,
  sites: '站点',
  source: '源站点',
  target: '目标站点',
  witness: '仲裁站点',
  noWitness: '无',
  objectives: '目标',
  rpo: '最多允许丢失的数据（RPO）',
  rto: '最长恢复到可写入的时间（RTO）',
  longest: '各步骤时限合计最长',
  people: '审批人',
  planned: '计划内切换：审批人数',
  unplanned: '计划外切换：审批人数',
  breakGlass: '没有隔离证明时强制切换：人数',
  lease: '写入权',
  leaseText: (ttl, margin, stops) =>
    `源站点在最后一次续租后 ${ttl} 内可以写入，目标站点再多等待 ${margin}。源站点无法续租时${stops ? '停止写入' : '继续写入：目标站点只有取得源站点已被切断的证明才接管'}。`,
  proofs: '认可的隔离证明',
  groups: '分组（按启动顺序）',
  group: '分组',
  assets: '资产',
  after: '依赖',
  consistency: '组内一致性',
  consistencies: { barrier: '同一时刻（屏障）', epsilon: '时间差不超过', none: '无' },
  runs: {
    planned: { title: '计划内切换', when: '两个站点都正常，需要离开源站点。不丢失数据。' },
    unplanned: { title: '计划外切换', when: '源站点丢失或被隔离。未复制的数据会丢失，并如实给出。' },
    failback: { title: '回切', when: '第一个站点追平之后切回。不丢失数据。源站点与目标站点互换。' },
    drill: { title: '演练', when: '在封闭网络中演练，不触及生产。' },
  },
  states: {
    declared: '已宣布',
    fenced: '已隔离',
    sealed: '已封存',
    'caught-up': '已追平',
    granted: '已授权',
    promoted: '已提升',
    routed: '已切换路由',
    verified: '已验证',
    committed: '已提交',
    're-protecting': '重新保护',
  },
  columns: ['序号', '状态', '分组', '操作', '时限', '完成、时间、姓名'],
  noLimit: '人工',
  parallel: (wave) => `第 ${wave} 批`,
  at: { source: '在源站点', target: '在目标站点' },
  gate: (people) => `人工确认，${people} 人：`,
  continues: '失败时继续',
  asksNobody: '演练中不询问任何人',
  leavesOut: '演练中略过：源站点是生产',
  promoteClone: (asset) => `提升 ${asset} 的克隆，不发布任何内容`,
  route: (name, kind, to) => `路由 ${name}（${kind}）${to === undefined ? '' : `指向 ${to}`}`,
  undo: '到此为止的操作都可以用“holdfast failover undo”撤销：源站点重新获得写入权。',
  noUndo: '从这里开始只能通过回切返回。',
  command: '命令',
  done: '完成',
  signature: '执行人、日期、签字',
  actions: {
    declare: (_, people) => `宣布：原因、恢复点，由 ${people} 人批准`,
    'check-target': () => '确认目标站点可达；计划内切换前还要确认其备用库完整且滞后很小',
    'drain-database': (asset) => `停止 ${asset} 的客户端，写最后一个检查点并归档最后的日志`,
    'fence-demote': () => '源站点交出写入权并签署降级令牌：系统、时间线、LSN、纪元',
    'fence-revoke': () => '在各处吊销该纪元的凭证，不再续租',
    'fence-power-off': () => '切断源站点，并通过另一途径确认已切断',
    'fence-wait': () => '等待租约和所有承诺过期',
    seal: () => '在每个可达的存储中封存该纪元的日志；之后到达的作为孤儿保存',
    'catch-up': (asset) => `${asset} 追平已封存的日志，并校验日志链`,
    'last-backup': (asset) => `在源站点再备份一次 ${asset}，并等待副本收到`,
    refresh: (asset) => `把 ${asset} 更新到副本中最新的恢复点；目标处不同的内容移到一旁保留`,
    'show-loss': (_, people) => `给出确切的数据丢失量。超过 RPO 时停止，由 ${people} 人决定`,
    grant: () => '经多数派同意，将下一纪元授予目标站点',
    promote: (asset) => `提升 ${asset}，发布其历史和第一段日志`,
    'bring-up': (asset) => `重新读取 ${asset} 并与其恢复点比较`,
    'verify-pages': () => '抽样检查索引和数据页（amcheck）',
    commit: () => '提交：从这里起视为完成',
    protect: () => '立即保护新的主库：日志和基础备份；然后签署证据',
    isolate: () => '建立封闭网络和没有任何生产凭证的新实例',
    clone: (asset) => `从不可变恢复点把 ${asset} 恢复为不归档的克隆`,
    probe: () => '反向探测：任何生产地址都不得应答，任何写入都不得成功',
    destroy: () => '销毁克隆并记录其已销毁',
    'write-test': () => '应用的第一次写入：恢复时间的测量到此结束',
  },
};

export const RUNBOOK_TEXTS: Readonly<Record<Language, RunbookTexts>> = { en: EN, zh: ZH };
