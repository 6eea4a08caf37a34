// Levels of disaster recovery of GB/T 20988, as data with a version: for each of its seven elements which requirements a level has. In our own
// short words; the standard itself is what counts. The edition of 2025 took the place of that of 2007 on 2026-01-01; its tables of levels
// must be taken from the official text before they can stand here.
//
// A requirement is met by a figure that was measured (`fact`), by a person's word that has not expired (`attested`), or never: a standby
// that is fed from a repository is always a little behind, so no loss at all is not claimed, whatever somebody says.

export const ELEMENTS = ['data', 'processing', 'network', 'premises', 'support', 'operation', 'plan'] as const;
export type Element = (typeof ELEMENTS)[number];

export type Text = { readonly en: string; readonly zh: string };

export type Requirement = {
  readonly id: string;
  readonly text: Text;
  readonly test:
    | { readonly kind: 'fact'; readonly fact: string; readonly atMost?: number; readonly atLeast?: number; readonly isTrue?: true }
    | { readonly kind: 'attested' }
    | { readonly kind: 'never'; readonly why: Text };
};

export type LevelEdition = {
  readonly id: string;
  readonly title: Text;
  readonly elements: Readonly<Record<Element, Text>>;
  readonly levels: readonly Text[];
  /** By element: for each level from 1 to 6 the ids of its requirements. */
  readonly requires: Readonly<Record<Element, readonly (readonly string[])[]>>;
  readonly requirements: readonly Requirement[];
};

const DAY_S = 86_400;

const attested = (id: string, en: string, zh: string): Requirement => ({ id, text: { en, zh }, test: { kind: 'attested' } });

const STORAGE = ['operation.media', 'operation.validity'];
const FULL = ['operation.room', 'operation.hardware'];

export const GBT_20988_2007: LevelEdition = {
  id: 'GB/T 20988-2007',
  title: {
    en: 'GB/T 20988-2007, annex A (superseded by the edition of 2025 on 2026-01-01)',
    zh: 'GB/T 20988-2007 附录 A（自 2026-01-01 起由 2025 版代替）',
  },
  elements: {
    data: { en: 'Data backup system', zh: '数据备份系统' },
    processing: { en: 'Standby data processing system', zh: '备用数据处理系统' },
    network: { en: 'Standby network system', zh: '备用网络系统' },
    premises: { en: 'Standby infrastructure', zh: '备用基础设施' },
    support: { en: 'Professional technical support', zh: '专业技术支持能力' },
    operation: { en: 'Operation and maintenance', zh: '运行维护管理能力' },
    plan: { en: 'Disaster recovery plan', zh: '灾难恢复预案' },
  },
  levels: [
    { en: 'Basic support', zh: '基本支持' },
    { en: 'Standby site', zh: '备用场地支持' },
    { en: 'Electronic transfer and partial equipment', zh: '电子传输和部分设备支持' },
    { en: 'Electronic transfer and full equipment', zh: '电子传输及完整设备支持' },
    { en: 'Real-time transfer and full equipment', zh: '实时数据传输及完整设备支持' },
    { en: 'No data loss and remote cluster', zh: '数据零丢失和远程集群支持' },
  ],
  requires: {
    data: [
      ['data.weekly', 'data.off-site'],
      ['data.weekly', 'data.off-site'],
      ['data.daily', 'data.off-site', 'data.batches'],
      ['data.daily', 'data.off-site', 'data.batches'],
      ['data.daily', 'data.off-site', 'data.real-time'],
      ['data.daily', 'data.off-site', 'data.no-loss'],
    ],
    processing: [
      [],
      ['processing.on-call'],
      ['processing.partial'],
      ['processing.full'],
      ['processing.full'],
      ['processing.full', 'processing.cluster'],
    ],
    network: [
      [],
      ['network.on-call'],
      ['network.partial'],
      ['network.ready'],
      ['network.ready', 'network.switch'],
      ['network.ready', 'network.switch', 'network.both'],
    ],
    premises: [
      ['premises.media'],
      ['premises.media', 'premises.business'],
      ['premises.media', 'premises.business'],
      ['premises.media', 'premises.equipment', 'premises.business', 'premises.always'],
      ['premises.media', 'premises.equipment', 'premises.business', 'premises.always'],
      ['premises.media', 'premises.equipment', 'premises.business', 'premises.always'],
    ],
    support: [
      [],
      [],
      ['support.room'],
      ['support.room-always', 'support.backup', 'support.hardware'],
      ['support.room-always', 'support.backup-always', 'support.hardware-always'],
      ['support.room-always', 'support.backup-always', 'support.hardware-always', 'support.software-always'],
    ],
    operation: [
      STORAGE,
      [...STORAGE, 'operation.site', 'operation.supply', 'operation.lines'],
      [...STORAGE, 'operation.room', 'operation.hardware', 'operation.transfer'],
      [...STORAGE, ...FULL, 'operation.transfer'],
      [...STORAGE, ...FULL, 'operation.real-time'],
      [...STORAGE, ...FULL, 'operation.real-time', 'operation.software'],
    ],
    plan: Array.from({ length: 6 }, () => ['plan.written', 'plan.rehearsed']),
  },
  requirements: [
    {
      id: 'data.weekly',
      text: { en: 'A full backup at least once a week', zh: '每周至少一次完全备份' },
      test: { kind: 'fact', fact: 'fullBackupAgeSeconds', atMost: 7 * DAY_S },
    },
    {
      id: 'data.daily',
      text: { en: 'A full backup at least once a day', zh: '每天至少一次完全备份' },
      test: { kind: 'fact', fact: 'fullBackupAgeSeconds', atMost: DAY_S },
    },
    {
      id: 'data.off-site',
      text: { en: 'A copy is kept off site', zh: '备份保存在场外' },
      test: { kind: 'fact', fact: 'copyOffSite', isTrue: true },
    },
    {
      id: 'data.batches',
      text: { en: 'Important data goes to the standby site several times a day', zh: '关键数据每天多次成批传送到备用场地' },
      test: { kind: 'fact', fact: 'replicaLagSeconds', atMost: DAY_S / 2 },
    },
    {
      id: 'data.real-time',
      text: { en: 'Important data is replicated to the standby site as it changes', zh: '关键数据实时复制到备用场地' },
      test: { kind: 'fact', fact: 'replicaLagSeconds', atMost: 60 },
    },
    {
      id: 'data.no-loss',
      text: { en: 'Remote real-time backup without any loss', zh: '远程实时备份，数据零丢失' },
      test: {
        kind: 'never',
        why: {
          en: 'a standby that is fed from a repository is always a little behind',
          zh: '由备份库供给的备用系统总有少许滞后',
        },
      },
    },
    attested(
      'processing.on-call',
      'Equipment is there in part, or can be had in a known time',
      '配备部分设备，或能在预定时间内调配到位',
    ),
    attested('processing.partial', 'A part of the equipment is there', '配备部分数据处理设备'),
    {
      id: 'processing.full',
      text: {
        en: 'All equipment is there and ready: the whole plan has run on it',
        zh: '配备全部设备并就绪：预案已在其上完整执行',
      },
      test: { kind: 'fact', fact: 'planRunAgeSeconds', atMost: 366 * DAY_S },
    },
    attested(
      'processing.cluster',
      'Clustered with the same capacity, switched over automatically',
      '与生产系统同等能力的远程集群，自动切换',
    ),
    attested(
      'network.on-call',
      'Lines and devices are there in part, or can be had in a known time',
      '配备部分线路和网络设备，或能在预定时间内调配到位',
    ),
    attested('network.partial', 'A part of the lines and devices is there', '配备部分通信线路和网络设备'),
    attested('network.ready', 'All lines are there, and devices are ready', '配备所需通信线路，网络设备就绪'),
    {
      id: 'network.switch',
      text: { en: 'Routes of clients are switched automatically or from one place', zh: '具备网络自动或集中切换能力' },
      test: { kind: 'fact', fact: 'routesSwitched', isTrue: true },
    },
    attested('network.both', 'Users can reach both centres at the same time', '最终用户可同时接入主、备中心'),
    attested('premises.media', 'A place fit for keeping media', '有符合介质存放条件的场地'),
    attested('premises.equipment', 'A place fit for the standby systems', '有符合备用系统运行要求的场地'),
    attested('premises.business', 'A place from which business goes on', '有满足关键业务恢复运作要求的场地'),
    attested('premises.always', 'These places are staffed around the clock', '以上场地保持 7×24 小时运作'),
    attested('support.room', 'Own staff for the computer room', '有专职机房运行管理人员'),
    attested('support.room-always', 'Own staff for the computer room around the clock', '7×24 小时有专职机房管理人员'),
    attested('support.backup', 'Own staff for backups', '有专职数据备份技术支持人员'),
    attested('support.backup-always', 'Own staff for backups around the clock', '7×24 小时有专职数据备份技术支持人员'),
    attested('support.hardware', 'Own staff for hardware and network', '有专职硬件、网络技术支持人员'),
    attested(
      'support.hardware-always',
      'Own staff for hardware and network around the clock',
      '7×24 小时有专职硬件、网络技术支持人员',
    ),
    attested(
      'support.software-always',
      'Own staff for systems, databases and applications around the clock',
      '7×24 小时有专职操作系统、数据库和应用软件技术支持人员',
    ),
    attested('operation.media', 'Rules for keeping, checking and moving backups', '有介质存取、验证和转储管理制度'),
    {
      id: 'operation.validity',
      text: { en: 'Backups are proven at regular times', zh: '定期对备份进行有效性验证' },
      test: { kind: 'fact', fact: 'proofAgeSeconds', atMost: 92 * DAY_S },
    },
    attested('operation.site', 'Rules for the standby site', '有备用站点管理制度'),
    attested('operation.supply', 'Contracts for urgent supply', '与厂商有紧急供货协议'),
    attested('operation.lines', 'Contracts for standby lines', '与运营商有备用线路协议'),
    attested('operation.room', 'Rules for the standby computer room', '有备用机房运行管理制度'),
    attested('operation.hardware', 'Rules for standby hardware and network', '有硬件和网络运行管理制度'),
    attested('operation.transfer', 'Rules for the system that transfers backups', '有电子传输数据备份系统运行管理制度'),
    attested('operation.real-time', 'Rules for the system that replicates in real time', '有实时数据备份系统运行管理制度'),
    attested('operation.software', 'Rules for systems, databases and applications', '有操作系统、数据库和应用软件运行管理制度'),
    {
      id: 'plan.written',
      text: { en: 'There is a plan of recovery', zh: '有灾难恢复预案' },
      test: { kind: 'fact', fact: 'hasPlan', isTrue: true },
    },
    {
      id: 'plan.rehearsed',
      text: { en: 'The plan was tested and rehearsed as a whole', zh: '预案经过完整测试和演练' },
      test: { kind: 'fact', fact: 'planRunAgeSeconds', atMost: 366 * DAY_S },
    },
  ],
};

export const LEVEL_EDITIONS: readonly LevelEdition[] = [GBT_20988_2007];
