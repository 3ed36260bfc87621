package topic

// Config holds the settings given to one topic explicitly, by Kafka's names; what is absent has its default.
// A Config read from control state is shared by many readers and must not be changed.
type Config map[string]string
