package policy

type describeWords struct{}
