"""Measuring searches and answers: metrics, question sets, runs and what separates two of them."""
