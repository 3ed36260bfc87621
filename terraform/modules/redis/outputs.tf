output "redis" {
  description = "What the agents module wants to know of Redis."
  value = {
    url                 = "rediss://${local.user}@${aws_elasticache_replication_group.this.primary_endpoint_address}:${local.port}"
    password_secret_arn = aws_secretsmanager_secret.password.arn
    kms_key_arn         = var.kms_key_arn
  }

  # An agent that starts without its password cannot log in.
  depends_on = [aws_secretsmanager_secret_version.password]
}

output "access_string" {
  description = "What the agents' user may do, as an ACL of Redis."
  value       = local.access
}
