// The words of a report in two languages.

import type { PlanRunKind } from '../model/failover-kind.ts';
import type { Language } from '../plan/runbook-texts.ts';

export type ReportTexts = {
  readonly title: Readonly<Record<PlanRunKind, string>>;
  readonly outcome: string;
  readonly outcomes: Readonly<Record<string, string>>;
  readonly facts: string;
  readonly plan: string;
  readonly tenant: string;
  readonly made: string;
  readonly times: string;
  readonly timesText: string;
  readonly signer: string;
  readonly claims: string;
  readonly rpo: string;
  readonly rto: string;
  readonly objective: string;
  readonly kept: string;
  readonly broken: string;
  readonly notMeasured: string;
  readonly fencing: string;
  readonly isolation: string;
  readonly isolationText: (probes: number, reached: number, changed: number) => string;
  readonly pages: string;
  readonly smoke: string;
  readonly consistency: (group: string) => string;
  readonly reached: Readonly<Record<string, string>>;
  readonly consistencyText: (reached: string, spread: string, declared: string) => string;
  readonly pagesText: (checked: number, damaged: number) => string;
  readonly smokeText: (passed: number, failed: number) => string;
  /** What RPO and RTO are counted between. */
  readonly counted: string;
  readonly restsOn: string;
  readonly timeline: string;
  readonly bars: string;
  readonly disaster: string;
  readonly declared: string;
  readonly heartbeat: string;
  readonly firstWrite: string;
  readonly level: string;
  readonly levelText: (level: number, name: string) => string;
  readonly element: string;
  readonly proven: string;
  readonly gaps: (level: number) => string;
  readonly nothingMissing: string;
  readonly found: string;
  readonly measurements: string;
  readonly columns: readonly string[];
  readonly check: (id: string) => string;
};

const EN: ReportTexts = {
  title: { planned: 'Planned switch', unplanned: 'Unplanned failover', failback: 'Failback', drill: 'Drill' },
  outcome: 'Outcome',
  outcomes: { succeeded: 'succeeded', failed: 'FAILED', void: 'VOID: it proves nothing' },
  facts: 'What it is about',
  plan: 'Plan',
  tenant: 'Tenant',
  made: 'Made at',
  times: 'Times',
  timesText: 'UTC, all of them ("Z"); Beijing time is UTC+8',
  signer: 'Signed with the key',
  claims: 'What was measured',
  rpo: 'Work lost (RPO)',
  rto: 'Time to the first write (RTO)',
  objective: 'objective',
  kept: 'kept',
  broken: 'NOT KEPT',
  notMeasured: 'not measured',
  fencing: 'Proof that nobody else could write',
  isolation: 'Isolation of the drill',
  isolationText: (probes, reached, changed) =>
    `${probes} negative probes, ${reached} reached something; ${changed} things of production changed`,
  pages: 'Pages, indexes and files',
  smoke: 'Tests of the application',
  consistency: (group) => `Consistency within the group ${group}`,
  reached: { whole: 'nothing is missing', barrier: 'barrier', epsilon: 'within the declared time', none: 'none' },
  consistencyText: (reached, spread, declared) => `${reached}, ${spread} apart (declared: ${declared})`,
  pagesText: (checked, damaged) => `${checked} looked at, ${damaged} damaged`,
  smokeText: (passed, failed) => `${passed} passed, ${failed} failed`,
  counted:
    'Work lost: from the newest heartbeat that was found in the recovered data (of files and volumes: from the beginning of the backup that was restored) to the disaster, of the worst asset of the plan. Time to the first write: from the declaration to the first write that was acknowledged, of the last database. Each figure rests on the measurements below whose numbers stand beside it.',
  restsOn: 'rests on',
  timeline: 'Timeline',
  bars: 'A bar is the time from the first step of a state to its last one, each in its last try. Between the bars people were asked, something was waited for, or tried again: the first write is counted from the declaration all the same.',
  disaster: 'disaster',
  declared: 'declared',
  heartbeat: 'newest heartbeat',
  firstWrite: 'first write',
  level: 'Level that was proven',
  levelText: (level, name) => (level === 0 ? 'none: not even level 1' : `level ${level}: ${name}`),
  element: 'Element',
  proven: 'Level',
  gaps: (level) => `What is missing for level ${level}`,
  nothingMissing: 'nothing',
  found: 'found',
  measurements: 'Measurements',
  columns: ['No.', 'When', 'What', 'Of', 'How', 'Value'],
  check: (id) =>
    `This report is made from the signed pack ${id}, and is no evidence by itself. "holdfast evidence verify" checks the pack without any network.`,
};

const ZH: ReportTexts = {
  title: { planned: '计划内切换', unplanned: '计划外切换', failback: '回切', drill: '演练' },
  outcome: '结果',
  outcomes: { succeeded: '成功', failed: '失败', void: '无效：不能证明任何事情' },
  facts: '基本信息',
  plan: '预案',
  tenant: '租户',
  made: '生成时间',
  times: '时间',
  timesText: '均为协调世界时（UTC，以“Z”结尾）；北京时间为 UTC+8',
  signer: '签名密钥',
  claims: '实测结果',
  rpo: '丢失的数据（RPO）',
  rto: '到首次写入的时间（RTO）',
  objective: '目标',
  kept: '达到',
  broken: '未达到',
  notMeasured: '未测得',
  fencing: '他处不能写入的证明',
  isolation: '演练的隔离',
  isolationText: (probes, reached, changed) => `反向探测 ${probes} 次，其中 ${reached} 次可达；生产中有 ${changed} 项发生变化`,
  pages: '数据页、索引和文件',
  smoke: '应用测试',
  consistency: (group) => `组 ${group} 的一致性`,
  reached: { whole: '无缺失', barrier: '屏障', epsilon: '在声明的时间差以内', none: '无' },
  consistencyText: (reached, spread, declared) => `${reached}，相差 ${spread}（声明：${declared}）`,
  pagesText: (checked, damaged) => `检查 ${checked} 项，损坏 ${damaged} 项`,
  smokeText: (passed, failed) => `通过 ${passed} 项，失败 ${failed} 项`,
  counted:
    '丢失的数据：从恢复出的数据中最新的心跳（文件和卷：从所恢复备份的开始时间）到灾难发生，取预案中最差的资产。到首次写入的时间：从宣布到首次得到确认的写入，取最后一个数据库。各项旁边的编号是其所依据的测量记录。',
  restsOn: '依据',
  timeline: '时间线',
  bars: '横条为一个状态从第一步开始到最后一步结束的时间，每一步以最后一次执行为准。横条之间是等待人员确认、等待条件或重试的时间；到首次写入的时间仍从宣布算起。',
  disaster: '灾难发生',
  declared: '宣布',
  heartbeat: '最新心跳',
  firstWrite: '首次写入',
  level: '已证明的等级',
  levelText: (level, name) => (level === 0 ? '无：未达到第 1 级' : `第 ${level} 级：${name}`),
  element: '要素',
  proven: '等级',
  gaps: (level) => `达到第 ${level} 级所缺`,
  nothingMissing: '无',
  found: '实测',
  measurements: '测量记录',
  columns: ['序号', '时间', '内容', '对象', '方法', '值'],
  check: (id) => `本报告由已签名的证据包 ${id} 生成，本身不是证据。用“holdfast evidence verify”可离线校验证据包。`,
};

export const REPORT_TEXTS: Readonly<Record<Language, ReportTexts>> = { en: EN, zh: ZH };
