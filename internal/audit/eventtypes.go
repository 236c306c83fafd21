package audit

// EventTypes are all types of events, those that belong together beside each other.
func EventTypes() []string {
	return []string{
		EventLogin, EventLoginFailed, EventLogout,
		EventImpersonationStarted, EventEmergencyStarted, EventImpersonationExtended, EventImpersonationEnded, EventImpersonationRefused,
		EventApprovalRequested, EventApprovalGranted, EventApprovalRefused, EventApprovalExpired, EventApprovalCancelled,
		EventConsentRequested, EventConsentGranted, EventConsentRefused, EventConsentExpired, EventConsentCancelled,
		EventObjectionRaised, EventPairUnlocked, EventReviewed, EventNoticeSent, EventNoticeFailed, EventBannerMissing,
		EventAuditRead, EventAuditExported, EventRetentionChanged, EventRetentionApplied,
		EventUserDeactivated, EventUserReactivated, EventDirectoryBroken, EventConfigLoaded, EventJournalRecovered, EventSigningKeyChanged,
	}
}

// EndCauses are why impersonations end: the outcomes of those that do not go on.
func EndCauses() []string {
	return []string{"stopped", "expired", "idle", "revoked", "logout", "objection", "policy_changed", "target_deactivated", "actor_deactivated", "start_failed"}
}
