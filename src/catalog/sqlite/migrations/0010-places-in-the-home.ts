// Places of repositories inside of the home are relative to it from here on (src/catalog/tenant-repository.ts). No table changes: the number
// keeps older programs away, which would take such a place for a directory below wherever they were started.

export const SQL = '';
