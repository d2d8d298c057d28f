"""The report of a study: one content, as HTML, as Markdown and as a table."""

from vqvae_jax.study.report.write import Report, write_report

__all__ = ["Report", "write_report"]
