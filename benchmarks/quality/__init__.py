"""How good are the picks? Scores against judges' grades, the fit of the weights, and contact sheets of both."""
