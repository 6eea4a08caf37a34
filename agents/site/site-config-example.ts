// What `holdfast site init` writes: a configuration to be filled in, every key with what it is for.

/** Its own, below nobody else's: the account of the service may do in /var/lib/holdfast what it likes. */
export const SITE_STATE = '/var/lib/holdfast-site';

export function siteConfigExample({ site, state }: { readonly site: string; readonly state: string }): string {
  return `# The daemon of the site "${site}": holdfast site run --config THIS_FILE
site: ${site}
# Where the daemons of other sites and orchestrators reach this one. Messages are signed, not encrypted: use a private network.
listen: 127.0.0.1:7410
# For Prometheus, unsigned. Leave it out to serve none.
metrics: 127.0.0.1:9410
# The daemon's own directory: its key, its audit, what was sealed. Keep it private, and never copy it to another host.
state: ${state}
# A directory that a restart of the host empties: a server runs only as long as its token lies here.
runtime: /run/holdfast-site

# Who agrees on the one writer: etcd with members at both sites and a witness. On one machine, without a witness:
#   embedded: /var/lib/holdfast/registry.db
registry:
  etcd: [http://10.0.0.1:2379, http://10.0.1.1:2379, http://10.0.2.1:2379]

# The line that "holdfast site init" printed at the other site:
peers: []
#  - { site: b, url: http://10.0.1.1:7410, key: ... }

databases:
  - asset: pg/portal
    # The same at every site; a copy for a drill has another.
    incarnation: portal-1
    # Whose it is runs the server.
    dataDirectory: /var/lib/postgresql/15/main
    programs: /usr/lib/postgresql/15/bin
    arguments: [-c, config_file=/var/lib/postgresql/15/main/postgresql.conf]
    connection: host=/run/postgresql port=5432 user=postgres
    # The repository of this site, of this database alone: its own while the database is written here, a replica of the other site's otherwise.
    repository:
      location: /srv/holdfast/repository
      passphraseFile: /etc/holdfast/passphrase
    # Where its bucket has Object Lock: whatever can be restored from it is kept locked for so long from now on, by this daemon.
    # immutability: 30d
    # The repository of the other site. While this site is not the one that writes, the daemon keeps a copy of it in "repository".
    # copyFrom:
    #   location: s3+https://s3.site-b.example.org/bucket/repository
    #   passphraseFile: /etc/holdfast/passphrase
    # Registered by "holdfast site adopt" at the site that writes now. "candidates" are not read again; a daemon that finds another lease there
    # than here does not begin ("holdfast site lease" changes it).
    # candidates: [b]
    # lease: { ttl: 10s, margin: 10s }
    # onLeaseLoss: stop

# Files and volumes that plans move together with a database; their backups lie in its repository. A planned switch makes one; what is lost with
# a site is as old as the newest, so make them by a timer: holdfast backup /srv/uploads --asset files/uploads --repo REPOSITORY
# files:
#   - { asset: files/uploads, kind: files, path: /srv/uploads, with: pg/portal }
`;
}
