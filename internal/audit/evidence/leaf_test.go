package evidence_test

import "github.com/seed-240d5494/caddy-impersonate/internal/audit/proof"

func leafOf(table string, values []string) [32]byte { return proof.LeafHash(table, values) }
