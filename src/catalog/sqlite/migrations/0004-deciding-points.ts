// What decides whether promises are kept is found without reading all recovery points of an asset.

export const SQL = `
CREATE INDEX recovery_points_sound ON recovery_points (asset_id, started_at, snapshot) WHERE asset_id IS NOT NULL AND is_sound = 1;
CREATE INDEX recovery_points_damaged ON recovery_points (asset_id, started_at, snapshot) WHERE asset_id IS NOT NULL AND is_sound = 0;
CREATE INDEX recovery_points_proven ON recovery_points (asset_id, proven_at)
  WHERE asset_id IS NOT NULL AND is_sound = 1 AND proven_at IS NOT NULL;
`;
