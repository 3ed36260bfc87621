// Package otlp records the spans of package trace by OpenTelemetry's SDK and sends them to a collector, by OTLP over HTTP.
//
// It is the only package that knows OpenTelemetry. What is not said by settings is said by the variables of OpenTelemetry's
// standard: OTEL_EXPORTER_OTLP_HEADERS, _CERTIFICATE, _TIMEOUT and the like, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES. Which
// requests are recorded is decided here, before anything is made for one that is not.
//
// Floor 5. Spans wait in a queue of at most maxQueue; what comes when it is full is dropped, and no request ever waits. The
// SDK's goroutine that sends them begins with Open and ends with Close.
package otlp
